//! Times of training steps. `cargo bench --bench learning` prints a table; with `-- --serve` it returns, for each line of
//! standard input (`VARIANT`), the seconds of one step and its loss, so that PyTorch can take turns with it
//! (`tests/golden/bench_learning.py`). `VISUOMOTOR_THREADS` sets the threads (2).

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use tch::{Kind, Tensor};
use visuomotor::config::load;
use visuomotor::encoder::EncoderKind;
use visuomotor::network::{self, choose_device, describe_device, fill, filled};
use visuomotor::policy::StateScale;
use visuomotor::training::cql::{Cql, Settings, described};
use visuomotor::training::transitions::TransitionBatch;
use visuomotor::training::vip::{Objective, loss};
use visuomotor::training::{Adam, Learner, Places, TrainedEncoder};

/// One step; returns its loss.
type Step = Box<dyn FnMut() -> f64>;

const VARIANTS: [&str; 4] = ["vip-f32", "vip-bf16", "cql-f32", "cql-bf16"];
/// Samples of a step: VIP's have four images, CQL's are encoded four times.
const BATCH: i64 = 32;
/// Of the weights, as in the script.
const SEED: u64 = 7;
const OBJECTIVE: Objective = Objective { discount: 0.98, l2_penalty: 1e-3, l1_penalty: 1e-3 };

/// Images (count, 3, 128, 128) in 0..1, as in the script.
fn images(name: &str, count: i64) -> Tensor {
    let shape = [count, 3, 128, 128];
    let values = filled(name, &shape, SEED);
    let most = values.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    ((Tensor::from_slice(&values).reshape(shape) / f64::from(most) + 1.0) / 2.0).to_device(choose_device())
}

/// VIP's step: encode four images of each sample, loss with three permutations, gradient, Adam.
fn vip(bf16: bool) -> Step {
    let encoder = TrainedEncoder::new(EncoderKind::Small, None, bf16, choose_device()).unwrap();
    fill(&encoder.variables, SEED).unwrap();
    let frames = images("frames", 4 * BATCH);
    let shifted = |by: i64| (0..BATCH).map(|i| (i + by) % BATCH).collect::<Vec<_>>();
    let permutations = [shifted(1), shifted(5), shifted(11)];
    let mut adam = Adam::new(&[("encoder", &encoder.variables)], 0.0);
    Box::new(move || {
        let embeddings = encoder.embed(&frames, true).unwrap().reshape([BATCH, 4, -1]);
        let loss = loss(&embeddings, &permutations, &OBJECTIVE).unwrap().total;
        adam.zero_grad();
        loss.backward();
        adam.step(1e-4, f64::INFINITY).unwrap();
        f64::try_from(loss).unwrap()
    })
}

/// CQL's step at the scale `small`, whole.
fn cql(bf16: bool) -> Step {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("launch/small/cql.toml");
    let settings =
        Settings { bf16, batch_size: BATCH as usize, places_weight: 0.0.try_into().unwrap(), ..load(&file).unwrap() };
    let checkpoint = described(&settings, "widowx", 5.0, StateScale { mean: [0.0; 7], std: [1.0; 7] });
    let here = |values: &[f32], shape: &[i64]| Tensor::from_slice(values).reshape(shape).to_device(choose_device());
    let of = |name: &str, width: i64| here(&filled(name, &[BATCH, width], SEED), &[BATCH, width]);
    let all = |value: f64, shape: &[i64]| Tensor::full(shape, value, (Kind::Float, choose_device()));
    let conditions = 7 + settings.tasks.len() as i64;
    let batch = TransitionBatch {
        images: images("now", BATCH),
        next_images: images("next", BATCH),
        conditions: of("condition", conditions),
        next_conditions: of("next_condition", conditions),
        actions: of("action", 7),
        shown: of("shown", 7),
        places: Places { places: of("places", 5), units: all(5.0, &[5]), ahead: all(1.0, &[BATCH, 5]) },
        imitated: all(1.0, &[BATCH]),
        rewards: all(-1.0, &[BATCH]),
        masks: all(1.0, &[BATCH]),
        returns: all(-10.0, &[BATCH]),
    };
    let mut learner = Cql::new(&settings, &checkpoint, Vec::new(), choose_device()).unwrap();
    let mut number = 0;
    Box::new(move || {
        number += 1;
        learner.update(&batch, number).unwrap()[0].1
    })
}

fn prepare(variant: &str) -> Step {
    let bf16 = variant.ends_with("bf16");
    if variant.starts_with("vip") { vip(bf16) } else { cql(bf16) }
}

fn timed(step: &mut Step) -> (f64, f64) {
    let start = Instant::now();
    let loss = step();
    (start.elapsed().as_secs_f64(), loss)
}

fn main() {
    let threads = std::env::var("VISUOMOTOR_THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    network::set_threads(threads);
    eprintln!("{}", describe_device());
    let mut steps: BTreeMap<&str, Step> = BTreeMap::new();
    if std::env::args().any(|argument| argument == "--serve") {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let Some(variant) = VARIANTS.iter().find(|variant| **variant == line.trim()) else {
                println!("unknown variant {line}; known: {}", VARIANTS.join(" "));
                continue;
            };
            let (seconds, loss) = timed(steps.entry(variant).or_insert_with(|| prepare(variant)));
            println!("{seconds} {loss}");
            std::io::stdout().flush().unwrap();
        }
        return;
    }
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for variant in VARIANTS {
        let mut step = prepare(variant);
        step();
        steps.insert(variant, step);
    }
    // Taking turns: a busy moment of the machine affects all variants alike.
    for _ in 0..15 {
        for (variant, step) in &mut steps {
            times.entry(variant).or_default().push(timed(step).0);
        }
    }
    println!("{:<10} {:>10} {:>10} {:>10}", "variant", "min ms", "p50 ms", "max ms");
    for (variant, times) in &mut times {
        times.sort_by(f64::total_cmp);
        let ms = |i: usize| times[i] * 1e3;
        println!("{variant:<10} {:>10.1} {:>10.1} {:>10.1}", ms(0), ms(times.len() / 2), ms(times.len() - 1));
    }
}
