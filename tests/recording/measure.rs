//! Size and time of a step; not a test: `cargo test --release --test tests measure -- --ignored --nocapture`.

use std::time::Instant;

use visuomotor::episode::StepSink;
use visuomotor::observation::Image;
use visuomotor::recording::*;

use super::episodes::*;

/// Sensor noise of about three grey levels, which is what fills a JPEG of a real camera.
fn noisy(mut image: Image, seed: u64) -> Image {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % 5 + (state >> 20) % 5) as i32 - 4
    };
    image.pixels = image.pixels.iter().map(|p| (i32::from(*p) + noise()).clamp(0, 255) as u8).collect();
    image
}

#[test]
#[ignore = "a measurement"]
fn size_and_time_of_a_step() {
    for (size, record_size) in [((640, 480), None), ((640, 480), Some((128, 128))), ((128, 128), None)] {
        for sync_every_steps in [0, 25, 1] {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let options = WriterOptions { sync_every_steps, record_size, ..WriterOptions::default() };
            let mut writer = EpisodeWriter::create(folder.path(), "a", options).unwrap();
            writer.episode_started(&start("a")).unwrap();
            let mut millis = Vec::new();
            for index in 0..200 {
                let told = told(index, vec![noisy(image("front", size.0, size.1, index), index + 1)]);
                let began = Instant::now();
                tell(&mut writer, index, &told).unwrap();
                millis.push(began.elapsed().as_secs_f64() * 1e3);
            }
            let began = Instant::now();
            writer.episode_ended(&end(200)).unwrap();
            let ending = began.elapsed().as_secs_f64() * 1e3;
            millis.sort_by(f64::total_cmp);
            let bytes = std::fs::metadata(writer.path()).unwrap().len() / 200;
            let began = Instant::now();
            let episode = read_episode(writer.path()).unwrap();
            let reading = began.elapsed().as_secs_f64() * 1e3;
            let began = Instant::now();
            episode.steps.iter().for_each(|step| drop(step.observation().unwrap()));
            println!(
                "{size:?} as {record_size:?}, sync every {sync_every_steps}: {bytes} bytes a step; a step p50 {:.2} ms, \
                 p99 {:.2} ms, largest {:.2} ms; end {ending:.1} ms; read 200 steps {reading:.1} ms, decode {:.1} ms",
                millis[100],
                millis[197],
                millis[199],
                began.elapsed().as_secs_f64() * 1e3
            );
        }
    }
}
