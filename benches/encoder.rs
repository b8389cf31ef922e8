//! Inference times of the image networks. `cargo bench --bench encoder` prints a table; with `-- --serve` it returns, for each
//! line of standard input (`VARIANT`), the seconds of one run, so that another program can take turns with it
//! (`tests/golden/bench_resnet50.py`, `bench_gpu.py`). `VISUOMOTOR_THREADS` sets the threads (2).
//!
//! `gpu` variants go from an image on the host to an embedding on the host, layer by layer, `graph` ones in one launch.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::time::Instant;

use tch::nn::{self, OptimizerConfig};
use tch::{Device, Kind, Tensor};
use visuomotor::encoder::policy_image;
use visuomotor::network::{
    self, ImageNetwork, Inference, Layout, Precision, Recording, ResNet50, ResNetV2, SmallNetwork, describe_device,
    fill,
};
use visuomotor::observation::Image;

type Run = Box<dyn FnMut()>;

const VARIANTS: [&str; 13] = [
    "vip-plain",
    "vip-folded",
    "vip-pixels",
    "vip",
    "vip-bf16",
    "vptr-plain",
    "vptr",
    "vptr-bf16",
    "small-plain",
    "small",
    "small-bf16",
    "small-train-64",
    "policy-image",
];

/// Variants that need a GPU.
const ON_GPU: [&str; 6] = ["vip-gpu", "vip-graph", "vip-gpu-bf16", "vip-graph-bf16", "vptr-gpu", "vptr-graph"];

fn inference(variant: &str) -> Option<Inference> {
    let planes = Inference { layout: Layout::Planes, ..Inference::default() };
    match variant.split_once('-').map_or("", |(_, what)| what) {
        "plain" => None,
        "folded" => Some(planes),
        "pixels" => Some(Inference { fold: false, ..Inference::default() }),
        "bf16" => Some(Inference { precision: Precision::Bf16, ..Inference::default() }),
        _ => Some(Inference::default()),
    }
}

fn network(variant: &str, variables: &nn::VarStore) -> Box<dyn ImageNetwork> {
    let root = variables.root();
    match variant.split('-').next() {
        Some("vip") => Box::new(ResNet50::new(&root).unwrap()),
        Some("vptr") => Box::new(ResNetV2::new(&root).unwrap()),
        _ => Box::new(SmallNetwork::new(&root).unwrap()),
    }
}

/// 640x480 to 128x128.
fn resize() -> Run {
    let pixels = (0..640 * 480 * 3).map(|i| (i * 7 % 251) as u8).collect();
    let (captured_at, sequence) = (visuomotor::time::Timestamp::ZERO, 0);
    let image = Image { camera: "bench".into(), width: 640, height: 480, pixels, captured_at, sequence };
    Box::new(move || drop(std::hint::black_box(policy_image(&image, 128).unwrap())))
}

/// Host to host on the GPU. The graph's output is first compared with that of the layers.
fn on_gpu(variant: &str) -> Run {
    let device = network::choose_device();
    assert!(device != Device::Cpu, "{variant}: {}", describe_device());
    tch::Cuda::cudnn_set_benchmark(true);
    let precision = if variant.ends_with("bf16") { Precision::Bf16 } else { Precision::F32 };
    let mut variables = nn::VarStore::new(Device::Cpu);
    let mut network = network(variant, &variables);
    fill(&variables, 1).unwrap();
    variables.freeze();
    network.prepare(Inference { precision, device, ..Inference::default() }).unwrap();
    let size = network.image_size();
    let images = Tensor::rand([1, 3, size, size], (Kind::Float, Device::Cpu));
    let layers = move |network: &dyn ImageNetwork, images: &Tensor| {
        tch::no_grad(|| network.forward(&images.to_device(device), false).unwrap().to_device(Device::Cpu))
    };
    if !variant.contains("graph") {
        return Box::new(move || drop(std::hint::black_box(layers(&*network, &images))));
    }
    let expected = layers(&*network, &images);
    let mut recording = Recording::new(&images.size(), device, &|x| network.forward(x, false)).unwrap();
    let off = f64::try_from((recording.run(&images).unwrap() - &expected).abs().max()).unwrap();
    let most = f64::try_from(expected.abs().max()).unwrap();
    eprintln!("{variant}: off by {off:.2e} of {most:.2e}");
    assert!(off <= 0.02 * most, "{variant}: the graph returns another embedding");
    Box::new(move || {
        // The recorded work reads the network's weights.
        let _ = &network;
        drop(std::hint::black_box(recording.run(&images).unwrap()));
    })
}

fn prepare(variant: &str) -> Run {
    if ON_GPU.contains(&variant) {
        return on_gpu(variant);
    }
    if variant == "policy-image" {
        return resize();
    }
    let mut variables = nn::VarStore::new(Device::Cpu);
    let mut network = network(variant, &variables);
    fill(&variables, 1).unwrap();
    let size = network.image_size();
    let batch = if variant == "small-train-64" { 64 } else { 1 };
    let images = Tensor::rand([batch, 3, size, size], (Kind::Float, Device::Cpu));
    if variant == "small-train-64" {
        let mut optimizer = nn::Adam::default().build(&variables, 1e-6).unwrap();
        return Box::new(move || {
            optimizer.backward_step(&network.forward(&images, true).unwrap().square().mean(Kind::Float));
        });
    }
    variables.freeze();
    if let Some(inference) = inference(variant) {
        network.prepare(inference).unwrap();
    }
    Box::new(move || {
        let out = tch::no_grad(|| network.forward(&images, false).unwrap());
        drop(std::hint::black_box(out));
    })
}

fn main() {
    let threads = std::env::var("VISUOMOTOR_THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    network::set_threads(threads);
    eprintln!("{}", describe_device());
    let mut runs: BTreeMap<&str, Run> = BTreeMap::new();
    if std::env::args().any(|argument| argument == "--serve") {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let Some(variant) = VARIANTS.iter().chain(&ON_GPU).find(|variant| **variant == line.trim()) else {
                println!("unknown variant {line}; known: {} {}", VARIANTS.join(" "), ON_GPU.join(" "));
                continue;
            };
            let run = runs.entry(variant).or_insert_with(|| prepare(variant));
            let start = Instant::now();
            run();
            println!("{}", start.elapsed().as_secs_f64());
            std::io::stdout().flush().unwrap();
        }
        return;
    }
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let gpu: &[&str] = if network::choose_device() == Device::Cpu { &[] } else { &ON_GPU };
    for variant in VARIANTS.into_iter().chain(gpu.iter().copied()) {
        let mut run = prepare(variant);
        run();
        runs.insert(variant, run);
    }
    // Taking turns: a busy moment of the machine affects all variants alike.
    for _ in 0..30 {
        for (variant, run) in &mut runs {
            let start = Instant::now();
            run();
            times.entry(variant).or_default().push(start.elapsed().as_secs_f64());
        }
    }
    println!("{:<16} {:>10} {:>10} {:>10}", "variant", "min ms", "p50 ms", "max ms");
    for variant in VARIANTS.into_iter().chain(gpu.iter().copied()) {
        let times = times.get_mut(variant).unwrap();
        times.sort_by(f64::total_cmp);
        let ms = |i: usize| times[i] * 1e3;
        println!("{variant:<16} {:>10.3} {:>10.3} {:>10.3}", ms(0), ms(times.len() / 2), ms(times.len() - 1));
    }
    if gpu.is_empty() {
        println!("not measured, for want of a GPU: {} ({})", ON_GPU.join(", "), describe_device());
    }
}
