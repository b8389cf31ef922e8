//! Reads an episode: where the tool was, what was asked of it, and the images.
//!
//!     cargo run --release --example read_episode results/fake/wave.mcap

use std::path::PathBuf;

use anyhow::Context;
use visuomotor::recording::read_episode;

fn main() -> anyhow::Result<()> {
    let file = PathBuf::from(std::env::args().nth(1).context("usage: read_episode EPISODE.mcap")?);
    let episode = read_episode(&file)?;
    println!("{}: {}, {} steps", episode.start.name, episode.start.instruction, episode.steps.len());
    for step in &episode.steps {
        let tool = step.base_from_tool.translation.vector;
        let asked = step.action.translation;
        print!("{:6.2} s  tool at ({:.3}, {:.3}, {:.3}) m", step.observed_at.as_secs_f64(), tool.x, tool.y, tool.z);
        print!("  asked ({:+.3}, {:+.3}, {:+.3}) m", asked[0], asked[1], asked[2]);
        match step.image() {
            Some(image) => {
                let image = image.decode()?;
                println!("  image {} x {} of `{}`", image.width, image.height, image.camera);
            }
            None => println!(),
        }
    }
    match episode.end {
        Some(end) => println!("{:?}", end.outcome),
        None => println!("cut off: `visuomotor recordings` finishes it"),
    }
    Ok(())
}
