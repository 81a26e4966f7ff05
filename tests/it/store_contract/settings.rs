//! Settings that were changed while nodes run.

use std::collections::BTreeMap;

use madang::db::SettingsRecord;

use super::{on_both, people};

#[tokio::test]
async fn the_newest_version_comes_first_and_a_number_is_given_once() {
    on_both(|stage| {
        let store = &stage.store;
        assert!(store.settings(5).unwrap().is_empty());
        let [ann, bob] = people();
        let record = |version, changed_by, value: &str| SettingsRecord {
            version,
            changed_by,
            at: 1_000 + version,
            values: BTreeMap::from([("MADANG_NOTICE".to_owned(), value.to_owned())]),
        };
        let (first, second) = (record(1, ann, "점검"), record(2, bob, "a\"b\n{}"));
        assert!(store.save_settings(&first).unwrap());
        assert!(store.save_settings(&second).unwrap());
        // Somebody else has been faster: nothing is written over.
        assert!(!store.save_settings(&record(2, ann, "mine")).unwrap());
        assert_eq!(store.settings(5).unwrap(), [second.clone(), first]);
        assert_eq!(store.settings(1).unwrap(), [second]);
    })
    .await;
}
