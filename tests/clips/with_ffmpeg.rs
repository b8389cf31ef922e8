//! Clips that ffmpeg decodes: videos, and LeRobot's.

use std::process::Command;

use visuomotor::exchange::{LerobotPictures, find_ffmpeg};

use super::*;
use crate::exchange::fixture::{Bench, video};

/// A video of clip `clip` that begins with image `first`, by ffmpeg from images.
fn film(path: &Path, clip: usize, count: usize, codec: &[&str]) {
    let pictures = tempfile::tempdir().unwrap();
    frames(pictures.path(), clip, count, six);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let status = Command::new(find_ffmpeg(None).unwrap())
        .args(["-loglevel", "error", "-framerate", "10", "-i"])
        .arg(pictures.path().join("%06d.jpg"))
        .args(codec)
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_folder_of_videos_is_a_set_of_clips() {
    let folder = tempfile::tempdir().unwrap();
    film(&folder.path().join("2.mp4"), 0, 4, &["-c:v", "libx264", "-crf", "12", "-pix_fmt", "yuv444p"]);
    film(&folder.path().join("10.AVI"), 1, 3, &["-c:v", "mjpeg", "-q:v", "2", "-f", "avi"]);
    film(&folder.path().join("more/a.webm"), 2, 2, &["-c:v", "libvpx-vp9", "-crf", "8", "-b:v", "0"]);
    for opening in [opening(), small()] {
        let set = opened(folder.path(), &opening);
        assert_eq!((set.layout, set.remarks.len()), (Layout::Videos, 0));
        assert_clips(&set.clips, &[4, 3, 2]);
    }
    let one = opened(&folder.path().join("10.AVI"), &opening());
    assert_eq!((one.clips.len(), one.clips.frames(0)), (1, 3));
    // An image with another extension is not opened as an image.
    std::fs::copy(folder.path().join("10.AVI"), folder.path().join("3.mp4")).unwrap();
    let error = refused(folder.path(), &opening());
    assert!(error.contains("3.mp4") && error.contains("cannot read it as a video"), "{error}");
}

#[test]
fn without_ffmpeg_videos_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.mp4"), b"");
    let error = refused(folder.path(), &Opening { ffmpeg: Some("/nowhere/ffmpeg".into()), ..opening() });
    for word in ["a.mp4", "/nowhere/ffmpeg", "apt-get install ffmpeg", "numbered images"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_lerobot_data_set_shows_what_its_episodes_show() {
    let bench = Bench::new();
    let episodes = bench.path("successes");
    std::fs::create_dir(&episodes).unwrap();
    for name in ["a.mcap", "b.mcap"] {
        std::fs::copy(bench.path("episodes").join(name), episodes.join(name)).unwrap();
    }
    let sets = [("video", video()), ("jpeg", LerobotPictures::Jpeg), ("png", LerobotPictures::Png)];
    for (name, pictures) in sets {
        let root = bench.lerobot(name, pictures);
        for camera in [Camera::Index(0), Camera::Name("arm".into())] {
            let with = |bytes| Opening { camera: camera.clone(), ..Opening::new(SIZE, Cache { bytes }) };
            let expected = opened(&episodes, &with(1 << 20));
            // All at once, and the second episode alone from the middle of the files.
            for bytes in [1 << 20, 9 * 768] {
                let set = opened(&root, &with(bytes));
                assert_eq!((set.layout, set.clips.len()), (Layout::Lerobot, 2));
                for (clip, index) in [(1, 5), (1, 0), (0, 8), (0, 0)] {
                    assert_eq!(set.clips.frames(clip), expected.clips.frames(clip));
                    let frames = [&set, &expected].map(|set| set.clips.frame(clip, index).unwrap().into_owned());
                    let error: u32 = frames[0].iter().zip(&frames[1]).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
                    let limit = if name == "video" { 5 * 768 } else { 0 };
                    assert!(error <= limit, "{name} {camera} {clip} {index}: {error}");
                }
            }
        }
        let error = refused(&root, &Opening { camera: Camera::Name("top".into()), ..opening() });
        assert!(error.contains("info.json") && error.contains("front, arm"), "{error}");
    }
    let nowhere = Opening { ffmpeg: Some("/nowhere/ffmpeg".into()), ..opening() };
    assert!(refused(&bench.path("video"), &nowhere).contains("its images are videos"));
    assert_eq!(opened(&bench.path("jpeg"), &nowhere).clips.len(), 2);
}
