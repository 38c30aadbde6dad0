use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::projects::{self, Project};
use super::sessions::{self, Answered, Session, Speaker, Thread};
use super::*;

fn project(id: &str) -> Project {
    Project {
        id: id.to_owned(),
        name: format!("Project {id}"),
        description: None,
        path: format!("/workspace/{id}"),
        created_at: 1_000,
        updated_at: 1_000,
        is_active: true,
        made: true,
    }
}

fn session(id: &str, project: &str) -> Session {
    Session {
        id: id.to_owned(),
        project_id: project.to_owned(),
        title: Some("A title".to_owned()),
        model: "sonnet".to_owned(),
        system_prompt: Some("Be brief.".to_owned()),
        created_at: 2_000,
        updated_at: 2_000,
        is_active: true,
        total_tokens: 0,
        total_cost: 0.0,
        message_count: 0,
        thread: Thread::default(),
    }
}

async fn run<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
) -> T {
    store.run(work).await.unwrap()
}

#[tokio::test]
async fn what_is_kept_is_there_in_the_next_run_and_only_its_owner_can_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.sqlite");
    let store = Store::open(&path).unwrap();
    run(&store, |store| projects::add(store, "me", &project("p"))).await;
    run(&store, |store| sessions::add(store, "me", &session("s", "p"))).await;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(run(&store, |store| projects::get(store, "me", "p")).await, Some(project("p")));
    assert_eq!(run(&store, |store| sessions::get(store, "me", "s")).await, Some(session("s", "p")));
}

#[tokio::test]
async fn nobody_sees_or_removes_what_is_anothers() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("sessions.sqlite")).unwrap();
    run(&store, |store| projects::add(store, "me", &project("p"))).await;
    run(&store, |store| sessions::add(store, "me", &session("s", "p"))).await;
    let page = Page { number: 1, size: 20 };
    assert_eq!(run(&store, |store| projects::get(store, "you", "p")).await, None);
    assert_eq!(run(&store, |store| sessions::get(store, "you", "s")).await, None);
    assert_eq!(run(&store, move |store| projects::list(store, "you", page)).await, (vec![], 0));
    assert_eq!(run(&store, move |store| sessions::list(store, "you", None, page)).await, (vec![], 0));
    assert!(!run(&store, |store| projects::remove(store, "you", "p")).await);
    assert!(!run(&store, |store| sessions::remove(store, "you", "s")).await);
    assert_eq!(run(&store, |store| sessions::stats(store, "you")).await, sessions::Stats::default());
    assert_eq!(run(&store, move |store| projects::list(store, "me", page)).await.1, 1);
}

#[tokio::test]
async fn a_turn_adds_to_the_totals_and_is_open_until_it_has_ended_well() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("sessions.sqlite")).unwrap();
    run(&store, |store| projects::add(store, "me", &project("p"))).await;
    run(&store, |store| sessions::add(store, "me", &session("s", "p"))).await;
    let thread = Thread { id: Some("cli".to_owned()), seeded: true, open: false, cost: 0.5 };
    let begun = thread.clone();
    run(&store, move |store| {
        sessions::begin(store, "s", "opus", &begun, &[(Speaker::User, "Hello".to_owned())])
    })
    .await;
    let open = run(&store, |store| sessions::get(store, "me", "s")).await.unwrap();
    assert_eq!(open.thread, Thread { open: true, ..thread.clone() });
    let (text, cost) = ("Hi".to_owned(), 0.25);
    let answered = Answered { text, input: 10, output: 5, cost, whole: true, thread_cost: 0.75 };
    run(&store, move |store| sessions::end(store, "s", &answered)).await;
    let ended = run(&store, |store| sessions::get(store, "me", "s")).await.unwrap();
    assert_eq!(ended.thread, Thread { cost: 0.75, ..thread });
    assert_eq!((ended.total_tokens, ended.total_cost, ended.message_count), (15, 0.25, 2));
    assert_eq!(ended.model, "opus");
    let history = run(&store, |store| sessions::history(store, "s", 1000)).await;
    let said = [(Speaker::User, "Hello".to_owned()), (Speaker::Assistant, "Hi".to_owned())];
    assert_eq!(history, said);
    assert_eq!(run(&store, |store| sessions::history(store, "s", 3)).await, said[1..]);
    let stats = run(&store, |store| sessions::stats(store, "me")).await;
    assert_eq!((stats.total_tokens, stats.models_in_use), (15, vec!["opus".to_owned()]));
}

#[tokio::test]
async fn sessions_that_nobody_uses_expire_and_a_project_takes_its_own_along() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("sessions.sqlite")).unwrap();
    run(&store, |store| projects::add(store, "me", &project("p"))).await;
    for id in ["old", "busy"] {
        run(&store, move |store| sessions::add(store, "me", &session(id, "p"))).await;
    }
    let gone = run(&store, |store| sessions::expire(store, 3_000, &["busy".to_owned()])).await;
    assert_eq!(gone, [("old".to_owned(), None)]);
    assert!(run(&store, |store| projects::remove(store, "me", "p")).await);
    assert_eq!(run(&store, |store| sessions::get(store, "me", "busy")).await, None);
}

#[tokio::test]
async fn pages_of_a_list_hold_each_entry_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("sessions.sqlite")).unwrap();
    for id in ["a", "b", "c", "d", "e"] {
        run(&store, move |store| projects::add(store, "me", &project(id))).await;
    }
    let mut seen = Vec::new();
    for number in 1..=4 {
        let page = Page { number, size: 2 };
        let (projects, total) = run(&store, move |store| projects::list(store, "me", page)).await;
        assert_eq!(total, 5);
        seen.extend(projects.into_iter().map(|project| project.id));
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn what_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("sessions.sqlite")).unwrap();
    let failed = store.run(|store| {
        projects::add(store, "me", &project("p"))?;
        sessions::add(store, "me", &session("s", "no such project"))
    });
    assert!(matches!(failed.await, Err(StoreError::Sql(_))));
    assert_eq!(run(&store, |store| projects::get(store, "me", "p")).await, None);
}

#[test]
fn a_damaged_file_and_one_of_a_later_version_are_errors_and_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.sqlite");
    fs::write(&path, b"this is no database, and it is long enough to have a header".repeat(100)).unwrap();
    let before = fs::read(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("damaged.sqlite cannot be read"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);

    let path = folder.path().join("newer.sqlite");
    drop(Store::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, known: 1, .. }), "{error}");
}

#[test]
fn a_time_is_written_as_rfc_3339_has_it() {
    assert_eq!(stamp(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(stamp(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
}
