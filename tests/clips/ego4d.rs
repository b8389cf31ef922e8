//! Ego4D as R3M and VIP prepared it: a manifest and numbered images.

use super::*;

fn manifest(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("manifest.csv");
    write(&path, text.as_bytes());
    path
}

/// Two clips of 5 and 3 images below `clips/`.
fn ego4d(folder: &Path) {
    frames(&folder.join("clips/a"), 0, 5, six);
    frames(&folder.join("clips/b"), 1, 3, six);
}

/// The same with a manifest.
fn ego4d_set(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    ego4d(folder.path());
    manifest(folder.path(), text);
    folder
}

#[test]
fn an_ego4d_manifest_is_read_in_both_of_its_variants() {
    let folder = tempfile::tempdir().unwrap();
    ego4d(folder.path());
    let absolute = folder.path().join("clips/b/").display().to_string();
    let path = manifest(folder.path(), &format!(",path,len\n0,clips/a/,5\n1,{absolute},3\n"));
    for start in [folder.path(), &path] {
        let set = opened(start, &opening());
        assert_eq!((set.layout, set.remarks.len()), (Layout::Ego4d, 0));
        assert_clips(&set.clips, &[5, 3]);
        assert!(set.summary().contains("Ego4D manifest: 2 clips, 8 frames"), "{}", set.summary());
        assert!(set.clips.name(1).contains("manifest.csv:3"), "{}", set.clips.name(1));
    }
    let text = "directory,num_frames,text\nclips/a/,5.0,\"#C cuts, then \"\"stirs\"\"\"\r\nclips/b/,3,x\r\n";
    manifest(folder.path(), text);
    assert_clips(&open(folder.path(), SIZE, Cache::default()).unwrap(), &[5, 3]);
}

#[test]
fn a_cache_that_holds_few_frames_gives_the_same_ones_to_many_threads() {
    let folder = ego4d_set("path,len\nclips/a/,5\nclips/b/,3\n");
    let set = opened(folder.path(), &small());
    assert_clips(&set.clips, &[5, 3]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..3).for_each(|_| assert_clips(&set.clips, &[5, 3])));
        }
    });
}

#[test]
fn a_hostile_or_wrong_manifest_is_refused_with_line_value_and_fix() {
    let folder = tempfile::tempdir().unwrap();
    let (inner, outside) = (folder.path().join("set"), folder.path().join("private"));
    ego4d(&inner);
    frames(&outside, 2, 3, six);
    let absolute = format!("{}/", outside.display());
    let cases = [
        ("path,len\n../private/,3\n".to_string(), vec![":2", "path", "../private/", "out of", "move them there"]),
        (format!("path,len\n{absolute},3\n"), vec![":2", "path", &absolute, "out of"]),
        ("path,len\nclips/a/../../../private/,3\n".into(), vec![":2", "out of"]),
        ("path,len\nclips/a/,5\nclips/b/,4\n".into(), vec![":3", "len: found 4", "000003.jpg", "correct the number"]),
        ("path,len\nclips/c/,4\n".into(), vec![":2", "000000.jpg"]),
        ("path,len\nclips/a/,many\n".into(), vec![":2", "len", "`many`", "expected a number"]),
        ("path,len\nclips/a/,-5\n".into(), vec![":2", "`-5`"]),
        ("path,len\nclips/a/,18446744073709551615\n".into(), vec![":2", "len", "expected a number"]),
        ("path,len\nclips/a/\n".into(), vec![":2", "1 values, expected 2"]),
        ("path,frames\nclips/a/,5\n".into(), vec![":1", "path,frames", "expected path,len"]),
        ("path,len\n\"clips/a/,5\n".into(), vec![":2", "quote"]),
        ("path,len\n".into(), vec!["no clip in it"]),
        ("path,len\nclips/a/,0\n".into(), vec!["no clip in it", "len is 0"]),
        (String::new(), vec!["found nothing", "path,len"]),
    ];
    for (text, words) in &cases {
        manifest(&inner, text);
        let error = refused(&inner, &opening());
        assert!(error.contains("manifest.csv"), "{error}");
        assert!(words.iter().all(|word| error.contains(word)), "{text:?}: {error}");
    }
    // The user may name the folder that a manifest leads into; no other folder is allowed.
    manifest(&inner, "path,len\n../private/,3\n");
    let named = Opening { root: Some(outside), ..opening() };
    assert_colored(&opened(&inner, &named).clips.frame(0, 2).unwrap(), color(2, 2));
    manifest(&inner, "path,len\n../other/,3\n");
    assert!(refused(&inner, &named).contains("out of"));
}

#[test]
fn what_a_manifest_says_twice_or_of_nothing_is_left_out_and_told() {
    let folder = ego4d_set("path,len\nclips/a/,4\nclips/a/,4\nclips/none/,0\nclips/b/,3\n");
    let set = opened(folder.path(), &opening());
    assert_clips(&set.clips, &[4, 3]);
    for words in [[":2", "more frames than len = 4"], [":3", "is in line 2 too"], [":4", "len is 0"]] {
        assert!(set.remarks.iter().any(|r| words.iter().all(|word| r.contains(word))), "{words:?} {:?}", set.remarks);
    }
    assert_eq!(set.remarks.len(), 3);
    // An image missing from the middle is found when all are decoded, or when it is requested.
    std::fs::remove_file(folder.path().join("clips/a/000002.jpg")).unwrap();
    let error = refused(folder.path(), &opening());
    assert!(error.contains("manifest.csv:2") && error.contains("000002.jpg") && error.contains("restore"), "{error}");
    let set = opened(folder.path(), &small());
    assert_colored(&set.clips.frame(0, 1).unwrap(), color(0, 1));
    assert!(format!("{:#}", set.clips.frame(0, 2).unwrap_err()).contains("000002.jpg"));
}
