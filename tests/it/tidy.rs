//! What reviews forget: the direction of imports, the length of files, documents equal to code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use madang::protocol::{CloseCode, ErrorCode};

/// Which part of the crate may use which: a part uses those above it in this list, and those
/// on its own line. `error`, `config` and `protocol` share a line: an error *is* a code of the
/// protocol, and the configuration speaks its words.
const LAYERS: &[&[&str]] = &[
    &["clock", "failpoint", "hex", "ids", "locks"],
    &["error", "config", "protocol"],
    &["limits"],
    &["db"],
    &["settings"],
    &["identity"],
    &["actors"],
    &["http"],
    &["node"],
    &["cli", "demo", "main"],
];
/// Files and folders that decide and never act: no runtime, no database, no broker. The code map
/// calls each of them pure.
const PURE: &[&str] = &[
    "src/config/live.rs",
    "src/db/fold.rs",
    "src/db/placing.rs",
    "src/db/plan.rs",
    "src/actors/backoff.rs",
    "src/actors/persistence/batch.rs",
    "src/actors/persistence/write_back/recovery.rs",
    "src/actors/persistence/write_back/tail.rs",
    "src/actors/persistence/write_back/tails.rs",
    "src/actors/registry/interest.rs",
    "src/actors/registry/people.rs",
    "src/actors/registry/recent.rs",
    "src/actors/registry/senders.rs",
    "src/actors/room/state",
    "src/actors/room/window.rs",
    "src/actors/user/rooms.rs",
    "src/protocol",
];
/// Longer than this, a file is two files.
const MOST_LINES: usize = 500;

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for file in sources("src") {
        let part = part_of(&file);
        let Some(own) = part.as_deref().map(|part| (part, layer(part))) else {
            continue;
        };
        for used in used_parts(&code_of(&file)) {
            if layer(&used) > own.1 && used != own.0 {
                wrong.push(format!("{}: {} must not use {used}", show(&file), own.0));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_files_import_no_runtime_and_no_store() {
    let mut wrong = Vec::new();
    for path in PURE {
        assert!(root().join(path).exists(), "there is no {path}");
    }
    let is_pure = |file: &Path| PURE.iter().any(|pure| file.starts_with(root().join(pure)));
    for file in sources("src").into_iter().filter(|file| is_pure(file)) {
        let code = code_of(&file);
        for library in ["actix", "diesel", "redis", "tokio"] {
            let used = [format!("{library}::"), format!("{library}_web::")];
            if used.iter().any(|used| mentions(&code, used)) {
                wrong.push(format!("{} uses {library}", show(&file)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_the_code_map_calls_pure_is_checked() {
    let map = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let lines = map.lines().filter_map(|line| line.split_once(" pure: "));
    let named: Vec<_> = lines
        .flat_map(|(names, _)| names.split_whitespace())
        .map(|name| name.trim_end_matches('/'))
        .collect();
    assert!(named.len() > 10, "the map has changed: {named:?}");
    for name in named {
        let is_checked = PURE.iter().any(|pure| Path::new(pure).ends_with(name));
        assert!(is_checked, "{name} is called pure, and not checked");
    }
}

#[test]
fn the_deprecated_transport_stays_behind_its_edge() {
    for file in sources("src") {
        let shown = show(&file);
        let edge = shown == "src/http/ws.rs" || shown.starts_with("src/actors/session");
        let used = mentions(&code_of(&file), "actix_web_actors::");
        assert!(edge || !used, "{shown} imports actix-web-actors");
    }
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches", "examples"] {
        for file in sources(folder) {
            let text = fs::read_to_string(&file).unwrap();
            let lines = text.lines().count();
            if lines > MOST_LINES {
                wrong.push(format!("{} has {lines} lines", show(&file)));
            }
            if !text.starts_with("//! ") && !show(&file).ends_with("schema.rs") {
                wrong.push(format!("{} does not begin with what it is", show(&file)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn both_migration_trees_have_the_same_steps() {
    let steps = |backend: &str| -> BTreeSet<String> {
        let folder = root().join("migrations").join(backend);
        let entries = fs::read_dir(folder).unwrap().flatten();
        let folders = entries.filter(|entry| entry.path().is_dir());
        let steps: BTreeSet<_> = folders
            .map(|step| step.file_name().into_string().unwrap())
            .collect();
        for step in &steps {
            for half in ["up.sql", "down.sql"] {
                let file = root()
                    .join("migrations")
                    .join(backend)
                    .join(step)
                    .join(half);
                assert!(file.exists(), "{} is missing", show(&file));
            }
        }
        steps
    };
    assert_eq!(steps("postgres"), steps("sqlite"));
    assert!(!steps("sqlite").is_empty());
}

#[test]
fn the_document_lists_the_codes_that_the_program_has() {
    let errors = ErrorCode::ALL
        .iter()
        .map(|code| (code.code(), code.name().to_owned()));
    assert_eq!(documented_codes("Errors"), errors.collect());
    let closes = CloseCode::ALL
        .iter()
        .map(|code| (code.code(), code.name().to_owned()));
    assert_eq!(documented_codes("Close codes"), closes.collect());
}

#[test]
fn the_readme_lists_every_example() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let Ok(entries) = fs::read_dir(root().join("examples")) else {
        return;
    };
    for example in entries.flatten() {
        let name = example.file_name().into_string().unwrap();
        assert!(
            readme.contains(&format!("examples/{name}")),
            "README.md misses {name}"
        );
    }
}

#[test]
fn nothing_points_into_somebodys_machine() {
    // Not the folder above: that may be one like `/tmp`, which has every right to be named.
    let here = root().to_string_lossy().into_owned();
    let listed = std::process::Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .unwrap();
    // An unpacked archive has no list; then there is nothing to look through.
    for name in String::from_utf8_lossy(&listed.stdout).split_terminator('\0') {
        let Ok(text) = fs::read_to_string(root().join(name)) else {
            continue;
        };
        for path in [
            format!("{here}/"),
            ["/ho", "me/"].concat(),
            ["/Us", "ers/"].concat(),
        ] {
            assert!(
                path.len() < 3 || !text.contains(&path),
                "{name} mentions {path}"
            );
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder of the project.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn show(file: &Path) -> String {
    file.strip_prefix(root()).unwrap().display().to_string()
}

/// The part of the crate that a file belongs to; `None` for `lib.rs`, which shows all of them.
fn part_of(file: &Path) -> Option<String> {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next()?.as_os_str().to_string_lossy();
    let part = first.trim_end_matches(".rs");
    (part != "lib").then(|| part.to_owned())
}

fn layer(part: &str) -> usize {
    let place = LAYERS.iter().position(|layer| layer.contains(&part));
    place.unwrap_or_else(|| panic!("`{part}` has no place in tidy's LAYERS yet"))
}

/// A file without its comments and its unit tests.
fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The parts that some code reaches through `crate::…` or, in `main.rs`, `madang::…`.
fn used_parts(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for root in ["crate::", "madang::"] {
        for (place, _) in code.match_indices(root) {
            let rest = &code[place + root.len()..];
            match rest.strip_prefix('{') {
                Some(group) => used.extend(first_words(group)),
                None => used.extend(word(rest)),
            }
        }
    }
    used.retain(|part| {
        LAYERS
            .iter()
            .flat_map(|layer| layer.iter())
            .any(|known| known == part)
    });
    used
}

/// The first name of each path in a `{a::b, c::{d, e}}`.
fn first_words(group: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut depth, mut fresh) = (0, true);
    for (place, sign) in group.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            _ if fresh && sign.is_alphabetic() => {
                words.extend(word(&group[place..]));
                fresh = false;
            }
            _ => {}
        }
    }
    words
}

fn word(text: &str) -> Option<String> {
    let word = text
        .split(|sign: char| !sign.is_alphanumeric() && sign != '_')
        .next()?;
    (!word.is_empty()).then(|| word.to_owned())
}

/// Does the code name this path, and not one that only ends like it?
fn mentions(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(place, _)| {
        let before = code[..place].chars().next_back();
        before.is_none_or(|sign| !sign.is_alphanumeric() && sign != '_')
    })
}

/// Numbers and names (a number, perhaps a table's bar, a name in backticks) below a heading.
fn documented_codes(heading: &str) -> BTreeSet<(u16, String)> {
    let text = fs::read_to_string(root().join("docs/PROTOCOL.md")).unwrap();
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with('#') {
            inside = line.trim_start_matches('#').trim().starts_with(heading);
        }
        if !inside {
            continue;
        }
        for (place, _) in line.match_indices('`') {
            let before = line[..place].trim_end_matches([' ', '|']);
            let digits = before
                .len()
                .checked_sub(4)
                .and_then(|start| before.get(start..));
            let name = line[place + 1..].split('`').next();
            if let (Some(Ok(code)), Some(name)) = (digits.map(str::parse::<u16>), name) {
                found.insert((code, name.to_owned()));
            }
        }
    }
    found
}
