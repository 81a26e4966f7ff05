//! The commands of the program and what each does.
//!
//! Exit codes: 0 done, or stopped as asked · 1 something failed · 2 a flag or setting is
//! wrong · 3 the database cannot be used · 4 the address cannot be listened on.

mod ending;
mod nodes;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::System;
use actix_web::rt::task::JoinHandle;
use clap::{Args, Parser, Subcommand, ValueEnum};
use madang::config::{self, Config, ConfigError, Sources};
use madang::db;
use madang::identity::{Claims, Tokens};
use madang::node::{Node, StartError};
use madang::settings::Settings;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::demo;

/// How long stopping may take, beside the time that people have to leave.
const STOP_DEADLINE: Duration = Duration::from_secs(40);
/// How long threads may take that still ask or write something when all is stopped.
const THREADS_DEADLINE: Duration = Duration::from_secs(5);
/// Open files that a node needs beside its connections.
const SPARE_FILES: u64 = 100;

/// A chat cluster that does not lose messages. Without a command it serves.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    settings: SettingArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Flags that every command takes; they go before the environment and the file.
#[derive(Debug, Args)]
struct SettingArgs {
    /// Read this file instead of madang.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on; port 0 picks a free one
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<String>,
    /// sqlite://FILE or postgres://…
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// Any setting; `madang config` lists them
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
    /// Fill in people and rooms to look at, and let guests in
    #[arg(long, global = true)]
    demo: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node until it is told to stop (SIGINT or SIGTERM)
    Serve,
    /// Bring the database to the form that this version needs
    Migrate,
    /// List the nodes of the cluster, or those that a user is on
    Nodes(nodes::NodesArgs),
    /// Tell a node to send its people to others and to end; waits until it has
    Drain(nodes::DrainArgs),
    /// Print an access token that is signed with the node's key
    Token(TokenArgs),
    /// Print every setting that holds, and where it came from
    Config {
        /// Print an example file with every setting instead
        #[arg(long)]
        example: bool,
    },
}

#[derive(Debug, Args)]
struct TokenArgs {
    /// Whom it stands for: an account's id, or a name of your own system
    #[arg(long)]
    sub: String,
    /// What a person who is new here shall be called
    #[arg(long)]
    name: Option<String>,
    /// How long it holds, for instance 90s, 15m, 12h or 30d
    #[arg(long, default_value = "15m", value_parser = lifetime)]
    ttl: Duration,
    /// What it allows
    #[arg(long, value_enum, default_value = "user")]
    role: TokenRole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TokenRole {
    User,
    Admin,
}

/// Why a command could not be done, in one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// The program's exit code, as the head of this file lists them.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Config(_) | Failure::Start(StartError::Config(_)) => 2,
            Failure::Start(StartError::Database(_) | StartError::Redis(_)) => 3,
            Failure::Start(StartError::Listen { .. }) => 4,
            Failure::Other(_) => 1,
        })
    }
}

/// Log lines go to stderr, from `info` up unless `RUST_LOG` says otherwise.
pub(crate) fn start_logging() {
    let filter = env_logger::Env::default().default_filter_or("info,actix_server=warn");
    env_logger::Builder::from_env(filter).init();
}

impl Cli {
    /// Does what was asked.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let demo = self.settings.demo;
        let sources = self.settings.into_sources();
        match self.command.unwrap_or(Command::Serve) {
            Command::Serve => System::new().block_on(serve(Config::load(sources)?, demo)),
            Command::Migrate => migrate(&Config::load(sources)?),
            Command::Token(token) => print_token(&Config::load(sources)?, token),
            // Whoever looks at a cluster from outside has to know its Redis, and nothing else.
            Command::Nodes(args) => {
                let redis = Config::load_redis(&sources)?;
                System::new().block_on(nodes::nodes(&redis, args))
            }
            Command::Drain(args) => {
                let redis = Config::load_redis(&sources)?;
                System::new().block_on(nodes::drain(&redis, args))
            }
            Command::Config { example: true } => {
                print!("{}", config::example());
                Ok(())
            }
            Command::Config { .. } => {
                print_config(&Config::load(sources)?);
                Ok(())
            }
        }
    }
}

impl SettingArgs {
    fn into_sources(self) -> Sources {
        let named = [
            ("MADANG_LISTEN", self.listen),
            ("DATABASE_URL", self.database_url),
        ];
        let named = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Sources {
            demo: self.demo,
            file: self.config,
            flags: named.chain(self.set).collect(),
            ..Sources::of_process()
        }
    }
}

async fn serve(config: Config, demo: bool) -> Result<(), Failure> {
    allow_connections(config.at_start.limits.connections);
    let drain = config.drain;
    let mut node = Node::start(config).await?;
    if demo && let Err(cause) = demo::fill(node.services()).await {
        log::warn!("the demo could not be filled in: {cause}");
    }
    println!("madang is listening on http://{}", node.address());
    let rereading = reread_on_hangup(node.services().settings.clone())?;
    tokio::select! {
        stop = asked_to_stop() => stop?,
        () = node.until_told() => {}
    }
    rereading.abort();
    // From here on nothing may keep the process: neither a step of stopping, nor a thread that
    // waits for a database that does not answer.
    ending::end_within(STOP_DEADLINE + drain, 1);
    node.stop().await;
    ending::end_within(THREADS_DEADLINE, 0);
    Ok(())
}

/// Every connection is an open file, and most systems allow a process few at first.
fn allow_connections(wanted: u32) {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    let raised = setrlimit(Resource::Nofile, files);
    let enough = files
        .maximum
        .is_none_or(|most| most > u64::from(wanted) + SPARE_FILES);
    if raised.is_err() || !enough {
        log::warn!(
            "the system allows fewer open files than MADANG_LIMIT_CONNECTIONS = {wanted} needs: \
             raise it with ulimit -Hn"
        );
    }
}

/// Reads file and environment again at every SIGHUP.
fn reread_on_hangup(settings: Arc<Settings>) -> Result<JoinHandle<()>, Failure> {
    let mut hangups = listen(SignalKind::hangup())?;
    Ok(actix::spawn(async move {
        while hangups.recv().await.is_some() {
            if let Err(error) = settings.reread() {
                log::error!("{error}; everything stays as it is");
            }
        }
    }))
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|cause| Failure::Other(format!("signals: {cause}")))
}

/// Waits for SIGINT or SIGTERM.
async fn asked_to_stop() -> Result<(), Failure> {
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let interrupted = std::pin::pin!(interrupt.recv());
    let terminated = std::pin::pin!(terminate.recv());
    futures_util::future::select(interrupted, terminated).await;
    Ok(())
}

fn migrate(config: &Config) -> Result<(), Failure> {
    let applied = db::migrate(&config.database.url()).map_err(StartError::from)?;
    match applied.as_slice() {
        [] => println!("{} is up to date", config.database),
        applied => println!("{}: applied {}", config.database, applied.join(", ")),
    }
    Ok(())
}

fn print_token(config: &Config, token: TokenArgs) -> Result<(), Failure> {
    let lifetime = i64::try_from(token.ttl.as_secs()).unwrap_or(i64::MAX / 2);
    let claims = Claims {
        name: token.name,
        role: (token.role == TokenRole::Admin).then(|| "admin".to_owned()),
        ..Claims::new(token.sub, lifetime)
    };
    let tokens = Tokens::new(&config.signing_secret()?);
    if !claims.fits() {
        let message = "a token stands for somebody: --sub has 1 to 255 bytes without NUL";
        return Err(Failure::Other(message.to_owned()));
    }
    let text = tokens.issue(&claims);
    println!("{}", text.map_err(|cause| Failure::Other(cause.message))?);
    Ok(())
}

fn print_config(config: &Config) {
    for setting in config.settings() {
        println!("{setting}");
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is wanted")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// A number of seconds, or one with a unit.
fn lifetime(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("a time like 90s, 15m, 12h or 30d is wanted".to_owned()),
    };
    let number: u32 = number
        .parse()
        .map_err(|_| "a time like 90s, 15m, 12h or 30d is wanted".to_owned())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_fit_together() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["madang", "serve", "--demo", "--set", "MADANG_WORKERS=3"]);
        assert!(matches!(cli.command, Some(Command::Serve)));
        let sources = cli.settings.into_sources();
        let workers = ("MADANG_WORKERS".to_owned(), "3".to_owned());
        assert!(sources.demo && sources.flags == [workers]);
    }

    #[test]
    fn a_lifetime_has_a_unit_or_is_in_seconds() {
        assert_eq!(lifetime("90"), Ok(Duration::from_secs(90)));
        assert_eq!(lifetime("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(lifetime("30d"), Ok(Duration::from_secs(2_592_000)));
        assert!(
            ["", "m", "-1s", "1.5h", "1y"]
                .iter()
                .all(|text| lifetime(text).is_err())
        );
    }
}
