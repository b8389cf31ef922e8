//! Recordings over the page.

use std::path::Path;

use visuomotor::page::{Page, PageSettings};
use visuomotor::recording::read_episode;

use super::client::{ask, ask_json, ask_text, page, page_with, settings};
use super::synthetic;

fn with_recordings(folder: &Path, names: &[&str]) -> Page {
    for name in names {
        synthetic::record(folder, name, 4).unwrap();
    }
    page_with(PageSettings { episodes: Some(folder.into()), ..settings() }).0
}

#[test]
fn the_list_says_how_episodes_ended_and_not_who_decided() {
    let folder = tempfile::tempdir().unwrap();
    let page = with_recordings(folder.path(), &["episode_0001", "episode_0002"]);
    std::fs::write(folder.path().join("broken.mcap"), b"no recording at all").unwrap();
    std::fs::write(folder.path().join("notes.txt"), b"not listed").unwrap();
    let list = ask_json(&page, "/episodes");
    assert_eq!(list["total"], 3);
    let row = |name: &str| list["episodes"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    let first = row("episode_0001.mcap");
    assert_eq!((&first["steps"], &first["outcome"]["outcome"]), (&4.into(), &"success".into()));
    assert!(row("broken.mcap")["trouble"].is_string());
    assert!(!list.to_string().contains(synthetic::ACTION_SOURCE), "comparisons are blind: {list}");
    assert_eq!(ask_json(&page, "/episodes?from=2")["episodes"].as_array().unwrap().len(), 1);
    assert_eq!(ask_json(&page, "/episodes?from=9")["episodes"].as_array().unwrap().len(), 0);
}

#[test]
fn steps_and_pictures_are_the_recorded_ones() {
    let folder = tempfile::tempdir().unwrap();
    let page = with_recordings(folder.path(), &["episode_0001"]);
    let recorded = read_episode(&folder.path().join("episode_0001.mcap")).unwrap();
    let played = ask_json(&page, "/episodes/episode_0001.mcap");
    assert_eq!(played["steps"].as_array().unwrap().len(), 4);
    assert_eq!(played["cameras"], serde_json::json!(["front", "wrist"]));
    assert_eq!(played["steps"][3]["action"][0], recorded.steps[3].action.to_array()[0]);
    assert!(!played.to_string().contains(synthetic::ACTION_SOURCE), "comparisons are blind: {played}");
    let (status, answer) = ask(page.address(), "GET", "/episodes/episode_0001.mcap/1/3", &[]);
    assert_eq!(status, 200);
    assert!(answer.ends_with(&recorded.steps[3].images[1].jpeg));
    for beyond in ["0/4", "2/0", "0/99999999999999999999", "-1/0"] {
        let (status, _) = ask(page.address(), "GET", &format!("/episodes/episode_0001.mcap/{beyond}"), &[]);
        assert!(status == 404 || status == 400, "{beyond}: {status}");
    }
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("recordings");
    std::fs::create_dir(&folder).unwrap();
    let secret = with_recordings(outside.path(), &["secret"]);
    drop(secret);
    let page = with_recordings(&folder, &["episode_0001"]);
    for name in [
        "..%2Fsecret.mcap",
        "../secret.mcap",
        "..%5Csecret.mcap",
        "%2e%2e%2fsecret.mcap",
        "recordings%2F..%2F..%2Fsecret.mcap",
        ".%2Fepisode_0001.mcap",
        "%2Fetc%2Fpasswd",
        "..",
        ".",
        "",
        "%00",
        "episode_0001.mcap%00",
        "secret.mcap",
    ] {
        for path in [format!("/episodes/{name}"), format!("/episodes/{name}/0/0")] {
            let (status, answer) = ask_text(page.address(), "GET", &path, &[]);
            assert!(status == 404 || status == 400, "{path}: {status} {answer}");
        }
    }
    let absolute = format!("/episodes/{}", outside.path().join("secret.mcap").display()).replace("s//", "s/%2F");
    assert!(matches!(ask_text(page.address(), "GET", &absolute, &[]).0, 400 | 404));
}

#[test]
fn without_a_folder_there_is_nothing_to_play() {
    let (page, _, _) = page();
    let (status, words) = ask_text(page.address(), "GET", "/episodes", &[]);
    assert_eq!(status, 404);
    assert!(words.contains("no folder of recordings was named"), "{words}");
}
