//! Clips for pre-training from small files in all common layouts, and the files that are refused.

mod ego4d;
#[cfg(feature = "exchange")]
mod with_ffmpeg;

use std::path::{Path, PathBuf};

use visuomotor::observation::Image;
use visuomotor::recording::{RecordedImage, WriterOptions};
use visuomotor::time::Timestamp;
use visuomotor::training::Clips;
use visuomotor::training::clips::{Cache, Camera, Fit, Layout, Opened, Opening, at_least, open, open_with};
use visuomotor::training::leakage::{Shown, check};

use crate::recording::episodes::{end, image, start, tell, told};

const SIZE: u32 = 16;
/// Images of 16 pixels that fit the small cache.
const FEW: u64 = 4;

type Rgb = [u8; 3];

const COLORS: [Rgb; 4] = [[230, 20, 30], [20, 220, 40], [30, 40, 210], [200, 190, 20]];

fn picture(width: u32, height: u32, color: impl Fn(u32) -> Rgb) -> Image {
    let pixels: Vec<u8> = (0..width * height).flat_map(|i| color(i % width)).collect();
    Image { camera: "test".into(), width, height, pixels: pixels.into(), captured_at: Timestamp::ZERO, sequence: 0 }
}

fn jpeg(width: u32, height: u32, color: Rgb) -> Vec<u8> {
    RecordedImage::encode(&picture(width, height, |_| color), 95).unwrap().jpeg
}

fn png(image: &Image) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, image.width, image.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(&image.pixels).unwrap();
    file
}

/// The color of image `index` of clip `clip`.
fn color(clip: usize, index: usize) -> Rgb {
    let [r, g, b] = COLORS[clip % 4];
    [r, g, b.saturating_add(index as u8 * 8)]
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Images of one color each, of a clip, named by their numbers.
fn frames(folder: &Path, clip: usize, count: usize, name: impl Fn(usize) -> String) {
    for index in 0..count {
        write(&folder.join(name(index)), &jpeg(24, 18, color(clip, index)));
    }
}

fn six(index: usize) -> String {
    format!("{index:06}.jpg")
}

fn opening() -> Opening {
    Opening::new(SIZE, Cache { bytes: 1 << 20 })
}

/// A cache for [`FEW`] images.
fn small() -> Opening {
    Opening::new(SIZE, Cache { bytes: FEW * u64::from(SIZE * SIZE * 3) })
}

fn opened(path: &Path, opening: &Opening) -> Opened {
    open_with(path, opening).unwrap_or_else(|error| panic!("{error:#}"))
}

fn refused(path: &Path, opening: &Opening) -> String {
    format!("{:#}", open_with(path, opening).map(drop).unwrap_err())
}

fn assert_colored(frame: &[u8], expected: Rgb) {
    assert_eq!(frame.len(), (SIZE * SIZE * 3) as usize);
    let near = |pixel: &[u8]| pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 6);
    assert!(frame.chunks_exact(3).all(near), "{:?}, expected {expected:?}", &frame[..3]);
}

/// Does the set have these lengths, and each image its color?
fn assert_clips(clips: &dyn Clips, lengths: &[usize]) {
    assert_eq!((0..clips.len()).map(|clip| clips.frames(clip)).collect::<Vec<_>>(), lengths);
    for clip in 0..clips.len() {
        for index in 0..clips.frames(clip) {
            assert_colored(&clips.frame(clip, index).unwrap(), color(clip, index));
        }
        let error = clips.frame(clip, clips.frames(clip)).unwrap_err().to_string();
        assert!(error.contains(clips.name(clip)) && error.contains("was asked for"), "{error}");
    }
    assert!(clips.frame(clips.len(), 0).is_err());
}

#[test]
fn folders_of_numbered_pictures_are_clips_in_the_order_of_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    frames(&set.join("2"), 0, 12, |index| format!("{index}.jpg"));
    frames(&set.join("10_pour"), 1, 3, |index| format!("{:04}.jpeg", index * 5));
    frames(&set.join("video11/view"), 2, 1, |index| format!("frame_{index:06}.jpg"));
    write(&set.join("notes.txt"), b"nothing");
    let found = opened(&set, &opening());
    assert_eq!((found.layout, found.remarks.len()), (Layout::Frames, 0));
    assert_clips(&found.clips, &[12, 3, 1]);
    assert!(found.clips.name(2).ends_with("video11/view"));
    // VIP's own layout, one folder, with PNG files.
    let one = folder.path().join("one");
    for index in 0..3 {
        write(&one.join(format!("{index}.png")), &png(&picture(40, 31, |_| color(0, index))));
    }
    assert_clips(&opened(&one, &opening()).clips, &[3]);
    std::fs::rename(one.join("1.png"), one.join("7.png")).unwrap();
    let gap = opened(&one, &opening());
    assert!(gap.remarks[0].contains("no frame between 2.png and 7.png"), "{:?}", gap.remarks);
    write(&one.join("07.jpg"), &jpeg(8, 8, COLORS[0]));
    let error = refused(&one, &opening());
    assert!(error.contains("07.jpg") && error.contains("7.png") && error.contains("both frame 7"), "{error}");
}

#[test]
fn a_damaged_picture_is_named() {
    let folder = tempfile::tempdir().unwrap();
    frames(&folder.path().join("0"), 0, 3, six);
    frames(&folder.path().join("1"), 1, 6, six);
    let file = folder.path().join("1/000004.jpg");
    let whole = std::fs::read(&file).unwrap();
    let one_color = png(&picture(30, 30, |x| [x as u8 * 7; 3]));
    let cases =
        [&whole[..whole.len() - 2], &whole[..whole.len() / 2], &one_color[..one_color.len() / 2], b"GIF89a", b""];
    for bytes in cases {
        write(&file, bytes);
        let error = refused(folder.path(), &opening());
        assert!(error.contains("1/000004.jpg") && error.contains("restore the frame"), "{error}");
        let set = opened(folder.path(), &small());
        assert_colored(&set.clips.frame(1, 5).unwrap(), color(1, 5));
        assert!(set.clips.frame(1, 4).unwrap_err().to_string().contains("1/000004.jpg"));
    }
}

#[test]
fn pictures_of_any_size_become_frames_by_crop_or_squash() {
    let folder = tempfile::tempdir().unwrap();
    // A third each of red, green, blue.
    let flag = |width: u32, height: u32| picture(width, height, |x| COLORS[(x * 3 / width) as usize]);
    for (index, (width, height)) in [(300, 100), (90, 30), (48, 16)].into_iter().enumerate() {
        write(&folder.path().join(format!("{index}.png")), &png(&flag(width, height)));
    }
    write(&folder.path().join("3.png"), &png(&picture(7, 90, |_| COLORS[1])));
    write(&folder.path().join("4.png"), &png(&picture(1, 1, |_| COLORS[1])));
    let cropped = opened(folder.path(), &opening());
    (0..5).for_each(|index| assert_colored(&cropped.clips.frame(0, index).unwrap(), COLORS[1]));
    let squashed = opened(folder.path(), &Opening { fit: Some(Fit::Squash), ..opening() });
    for index in 0..3 {
        let frame = squashed.clips.frame(0, index).unwrap();
        for (x, color) in [(1, COLORS[0]), (8, COLORS[1]), (14, COLORS[2])] {
            let pixel = &frame[(5 * SIZE as usize + x) * 3..][..3];
            assert!(pixel.iter().zip(color).all(|(a, b)| a.abs_diff(b) <= 3), "{index} {x}: {pixel:?}");
        }
    }
}

#[test]
fn what_is_not_understood_is_refused_with_what_is() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(folder.path(), &opening());
    for word in ["manifest.csv", "0.png", "mp4", ".mcap", "images0", "meta/info.json"] {
        assert!(error.contains(word), "{error}");
    }
    assert!(refused(&folder.path().join("none"), &opening()).contains("no such file"));
    frames(&folder.path().join("0"), 0, 2, six);
    write(&folder.path().join("clip.mp4"), b"");
    let error = refused(folder.path(), &opening());
    assert!(error.contains("folders of numbered images (1) and videos (1)"), "{error}");
    let error = refused(&folder.path().join("0"), &Opening::new(0, Cache::default()));
    assert!(error.contains("image_size: found 0"), "{error}");
}

#[test]
fn clips_too_short_for_an_algorithm_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    for (clip, count) in [1, 2, 3, 4].into_iter().enumerate() {
        frames(&folder.path().join(clip.to_string()), clip, count, six);
    }
    let long = at_least(open(folder.path(), SIZE, Cache::default()).unwrap(), 3).unwrap();
    assert_eq!((long.len(), long.left_out(), long.frames(0)), (2, 2, 3));
    assert_colored(&long.frame(1, 3).unwrap(), color(3, 3));
    let error = at_least(open(folder.path(), SIZE, Cache::default()).unwrap(), 5).err().unwrap().to_string();
    assert!(error.contains("none of 4 clips has 5 frames"), "{error}");
}

#[test]
fn bridge_trajectories_are_clips_of_the_camera_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let below = "toykitchen1/00/2022-03-04_10-11-12/raw/traj_group0";
    for (clip, (name, count)) in [("traj2", 12), ("traj10", 2)].into_iter().enumerate() {
        let trajectory = folder.path().join(below).join(name);
        frames(&trajectory.join("images0"), clip, count, |index| format!("im_{index}.jpg"));
        frames(&trajectory.join("images1"), clip + 1, count, |index| format!("im_{index}.jpg"));
        write(&trajectory.join("obs_dict.pkl"), b"not looked at");
    }
    let set = opened(folder.path(), &opening());
    assert_eq!(set.layout, Layout::Bridge);
    assert_clips(&set.clips, &[12, 2]);
    for camera in [Camera::Index(1), Camera::Name("images1".into())] {
        let set = opened(folder.path(), &Opening { camera, ..opening() });
        assert_colored(&set.clips.frame(1, 1).unwrap(), color(2, 1));
    }
    let error = refused(folder.path(), &Opening { camera: Camera::Index(2), ..opening() });
    assert!(error.contains("traj2/images2") && error.contains("no such camera"), "{error}");
    let error = refused(folder.path(), &Opening { camera: Camera::Name("front".into()), ..opening() });
    assert!(error.contains("`front`"), "{error}");
    std::fs::remove_file(folder.path().join(below).join("traj2/images0/im_9.jpg")).unwrap();
    let error = refused(folder.path(), &opening());
    assert!(error.contains("traj2/images0") && error.contains("no im_9.jpg"), "{error}");
}

/// Records an episode with two cameras; the images of the second are turquoise.
fn record(folder: &Path, name: &str, clip: usize, steps: u64, change: impl Fn(&mut WriterOptions)) {
    std::fs::create_dir_all(folder).unwrap();
    let mut options = WriterOptions::default();
    change(&mut options);
    let mut writer = visuomotor::recording::EpisodeWriter::create(folder, name, options).unwrap();
    let mut begin = start(name);
    begin.settings = "robot = \"widowx\"\n[scene]\nfile = \"scenes/office.toml\"\n".into();
    visuomotor::episode::StepSink::episode_started(&mut writer, &begin).unwrap();
    for index in 0..steps {
        let mut told = told(index, vec![image("front", 24, 18, index), image("side", 24, 18, index)]);
        told.observation.images[0].pixels = picture(24, 18, |_| color(clip, index as usize)).pixels;
        told.observation.images[1].pixels = picture(24, 18, |_| [20, 200, 200]).pixels;
        tell(&mut writer, index, &told).unwrap();
    }
    visuomotor::episode::StepSink::episode_ended(&mut writer, &end(steps)).unwrap();
}

#[test]
fn recorded_episodes_are_clips_of_the_camera_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), "a", 0, 4, |_| {});
    record(folder.path(), "b", 1, 2, |_| {});
    write(&folder.path().join("c.mcap.partial"), b"");
    // All in memory, or one clip at a time.
    for opening in [opening(), small()] {
        let set = opened(folder.path(), &opening);
        assert_eq!(set.layout, Layout::Episodes);
        assert!(set.remarks[0].contains("c.mcap.partial") && set.remarks.len() == 1, "{:?}", set.remarks);
        assert_clips(&set.clips, &[4, 2]);
    }
    let side = opened(folder.path(), &Opening { camera: Camera::Name("side".into()), ..opening() });
    assert_colored(&side.clips.frame(1, 1).unwrap(), [20, 200, 200]);
    let error = refused(folder.path(), &Opening { camera: Camera::Name("top".into()), ..opening() });
    assert!(error.contains("a.mcap") && error.contains("`top`") && error.contains("front, side"), "{error}");
    // Recordings are decoded as a whole; one that does not fit is refused before training.
    let tiny = Opening::new(SIZE, Cache { bytes: 3 * u64::from(SIZE * SIZE * 3) });
    let error = refused(folder.path(), &tiny);
    assert!(error.contains("a.mcap") && error.contains("cache_bytes = 2304"), "{error}");
}

#[test]
fn an_episode_that_shows_the_target_is_refused() {
    use visuomotor::recording::Attachment;
    let folder = tempfile::tempdir().unwrap();
    let set_up = r#"{"task": {"name": "fork_in_cup", "instruction": "put the fork in the cup", "object": "fork",
        "container": "cup", "container_at": {"kind": "object"}, "set_down": [0.3, 0.0], "rule": "put_in"},
        "object": "fork", "object_at": [0.3, 0.1], "object_yaw": 0.0, "container_at": [0.3, 0.0],
        "others": [["candle", [0.2, 0.1], 0.5]], "start": [0.3, 0.0, 0.1, 0.0, 0.0, 0.0], "seed": 1}"#;
    let attachment = |data: &str| Attachment {
        name: "set_up.json".into(),
        media_type: "application/json".into(),
        data: data.as_bytes().to_vec(),
    };
    record(folder.path(), "a", 0, 1, |options| options.attachments.push(attachment(set_up)));
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    let target = |scene: &str, object: &str, task: &str| Shown {
        scenes: names(&[scene]),
        objects: names(&[object]),
        tasks: names(&[task]),
    };
    let checked = check(folder.path(), &target("scenes/kitchen.toml", "knife", "knife_in_pot")).unwrap();
    assert_eq!((checked.episodes, checked.declared), (1, false));
    for (scene, object, task, words) in [
        ("scenes/office.toml", "knife", "knife_in_pot", "the scene `scenes/office.toml`"),
        ("kitchen", "fork", "knife_in_pot", "the object `fork`"),
        ("kitchen", "cup", "knife_in_pot", "the object `cup`"),
        ("kitchen", "candle", "knife_in_pot", "the object `candle`"),
        ("kitchen", "knife", "fork_in_cup", "the task `fork_in_cup`"),
        ("kitchen", "knife", "croissant_out_of_bowl", "the task `croissant_out_of_bowl`"),
    ] {
        let error = check(folder.path(), &target(scene, object, task)).unwrap_err().to_string();
        assert!(error.contains("a.mcap") && error.contains(words), "{error}");
    }
    record(folder.path(), "b", 0, 1, |options| options.attachments.push(attachment("{}")));
    let error = format!("{:#}", check(folder.path(), &target("kitchen", "knife", "knife_in_pot")).unwrap_err());
    assert!(error.contains("b.mcap") && error.contains("set_up.json"), "{error}");
}
