use std::time::Instant;

use rustix::process::test_kill_process;

use super::*;
use crate::upstream::bridge::claude_code::folders::Folders;

/// Nothing here takes longer, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn shell(script: &str, folder: Folder) -> Run {
    Run {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH", "/usr/bin:/bin".into())],
        cwd: folder.work(),
        folder: Some(folder),
    }
}

async fn line(process: &mut Process) -> serde_json::Value {
    let line = timeout(PATIENCE, process.next()).await.expect("a line").unwrap().expect("not the end");
    serde_json::from_slice(&line).unwrap()
}

async fn gone(process: &serde_json::Value) {
    let pid = Pid::from_raw(i32::try_from(process.as_i64().unwrap()).unwrap()).unwrap();
    let begin = Instant::now();
    while test_kill_process(pid).is_ok() {
        assert!(begin.elapsed() < PATIENCE, "{pid:?} is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn it_hears_what_it_is_told_and_is_told_what_it_says() {
    let (parent, tasks) = (tempfile::tempdir().unwrap(), TaskTracker::new());
    let folder = Folders::new(parent.path()).unwrap().folder().unwrap();
    let script = "read -r said; echo \"$said\"; echo no good >&2; env | grep -c . >&2; exit 3";
    let mut process = Process::start(shell(script, folder), &tasks).unwrap();
    process.say(&serde_json::json!({"type": "greeting"}));
    assert_eq!(line(&mut process).await["type"], "greeting");
    assert!(timeout(PATIENCE, process.next()).await.unwrap().unwrap().is_none());
    assert_eq!(process.exit().await.unwrap().code(), Some(3));
    drop(process);
    tasks.close();
    timeout(PATIENCE, tasks.wait()).await.unwrap();
}

#[tokio::test]
async fn dropped_it_ends_with_all_it_has_started_and_its_files() {
    let (parent, tasks) = (tempfile::tempdir().unwrap(), TaskTracker::new());
    let folders = Folders::new(parent.path()).unwrap();
    let script = "trap '' TERM; sleep 1000 & echo \"{\\\"type\\\":\\\"x\\\",\\\"ids\\\":[$$,$!]}\"; while :; do wait; done";
    let folder = folders.folder().unwrap();
    let home = folder.home();
    let mut process = Process::start(shell(script, folder), &tasks).unwrap();
    let ids = line(&mut process).await["ids"].take();
    drop(process);
    gone(&ids[0]).await;
    gone(&ids[1]).await;
    tasks.close();
    timeout(PATIENCE, tasks.wait()).await.unwrap();
    assert!(!home.exists());
    drop(folders);
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1, "only the lock");
}

#[tokio::test]
async fn what_a_killed_proxy_left_is_swept_and_what_a_living_one_has_is_not() {
    let (parent, tasks) = (tempfile::tempdir().unwrap(), TaskTracker::new());
    let living = Folders::new(parent.path()).unwrap();
    let kept = living.folder().unwrap();
    let script = "echo \"{\\\"type\\\":\\\"x\\\",\\\"id\\\":$$}\"; exec sleep 1000";
    let mut process = Process::start(shell(script, living.folder().unwrap()), &tasks).unwrap();
    let id = line(&mut process).await["id"].take();
    drop(Folders::new(parent.path()).unwrap());
    assert!(kept.home().exists());
    // As if it had been killed: nobody holds the lock any more, and nothing was removed.
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(parent.path()).unwrap().flatten() {
        let to = copy.path().join(entry.file_name());
        let status = std::process::Command::new("cp").arg("-a").arg(entry.path()).arg(&to).status().unwrap();
        assert!(status.success());
    }
    drop(Folders::new(copy.path()).unwrap());
    assert_eq!(std::fs::read_dir(copy.path()).unwrap().count(), 1, "only the lock");
    // Reaped by nobody but its parent, which must be asked.
    timeout(PATIENCE, process.exit()).await.unwrap().unwrap();
    gone(&id).await;
}

#[tokio::test]
async fn what_it_leaves_running_keeps_nobody_waiting() {
    let (parent, tasks) = (tempfile::tempdir().unwrap(), TaskTracker::new());
    let folder = Folders::new(parent.path()).unwrap().folder().unwrap();
    // The child holds the pipe.
    let script = "sleep 1000 & echo \"{\\\"type\\\":\\\"x\\\",\\\"id\\\":$!}\"";
    let mut process = Process::start(shell(script, folder), &tasks).unwrap();
    let child = line(&mut process).await["id"].take();
    assert!(timeout(PATIENCE, process.next()).await.unwrap().unwrap().is_none());
    drop(process);
    gone(&child).await;
}
