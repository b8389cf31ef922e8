//! One step of ICVF: an encoder with two value heads, and the target network they bootstrap from.

use std::path::Path;

use anyhow::{Context, ensure};
use tch::{Device, TchError, Tensor, nn};

use super::batch::{Batch, GoalBatches};
use super::loss::{Loss, loss};
use super::settings::Settings;
use crate::network::IntentionValues;
use crate::training::checkpoint::{named, restore_named, write_files};
use crate::training::diagnostics::{Spread, bumps, clip_images, falling_share, rows, values_to_the_last};
use crate::training::{
    Adam, Batches, ClipAugmentation, Clips, Learner, Terms, TrainedEncoder, soft_update, weights_bytes,
};

/// Most clips in a validation: more take time and hardly change the numbers.
const VALIDATION_CLIPS: usize = 32;
/// Batches of a validation loss.
const VALIDATION_BATCHES: u64 = 4;

/// f and the heads V_1, V_2.
struct Network {
    encoder: TrainedEncoder,
    variables: nn::VarStore,
    values: IntentionValues,
}

impl Network {
    /// theta_bar <- (1 - rate) theta_bar + rate theta, encoder and heads.
    fn follow(&self, online: &Network, rate: f64) -> Result<(), TchError> {
        soft_update(&self.encoder.variables, &online.encoder.variables, rate)?;
        soft_update(&self.variables, &online.variables, rate)
    }
}

/// The algorithm.
pub struct Icvf<'a> {
    settings: Settings,
    online: Network,
    target: Network,
    adam: Adam,
    held_out: &'a dyn Clips,
}

impl<'a> Icvf<'a> {
    /// A learner with initial weights, on `device`. `held_out`: the clips to validate on, if any.
    pub fn new(settings: &Settings, held_out: &'a dyn Clips, device: Device) -> anyhow::Result<Self> {
        settings.check()?;
        tch::manual_seed(settings.seed as i64);
        let weights = settings.encoder_weights.as_deref();
        let encoder = TrainedEncoder::new(settings.encoder, weights, settings.bf16, device)?;
        let shape = settings.perceptron_shape();
        let variables = nn::VarStore::new(device);
        let values = IntentionValues::new(&variables.root(), encoder.dimension(), &shape)?;
        let target_encoder = encoder.copy()?;
        let mut target_variables = nn::VarStore::new(device);
        let target_values = IntentionValues::new(&target_variables.root(), encoder.dimension(), &shape)?;
        target_variables.copy(&variables)?;
        target_variables.freeze();
        let stores = [("encoder", &encoder.variables), ("values", &variables)];
        let adam = Adam::new(&stores, settings.weight_decay.get())
            .with_epsilon(settings.adam_epsilon.get())
            .with_share("encoder", settings.encoder_lr_fraction.get());
        Ok(Self {
            settings: settings.clone(),
            online: Network { encoder, variables, values },
            target: Network { encoder: target_encoder, variables: target_variables, values: target_values },
            adam,
            held_out,
        })
    }

    /// `encoder`: do gradients reach the encoder?
    fn loss(&self, batch: &Batch, train: bool, encoder: bool) -> Result<Loss, TchError> {
        let Self { online, target, .. } = self;
        let batch = batch.to(self.online.variables.device())?;
        let followed = tch::no_grad(|| batch.embed_target(|images| target.encoder.embed(images, false)))?;
        let embeddings = batch.embed(|images| match encoder {
            true => online.encoder.embed(images, train),
            false => tch::no_grad(|| online.encoder.embed(images, train)),
        })?;
        let shape = self.settings.loss_shape();
        loss(&online.values, &embeddings, &target.values, &followed, &batch.reached, &shape, train)
    }

    /// Initial heads where phi and psi start alike: a function of the first batch.
    fn begin_alike(&mut self, batch: &Batch) -> anyhow::Result<()> {
        let images = batch.images.f_to_device(self.online.variables.device())?;
        let sample = tch::no_grad(|| self.online.encoder.embed(&images, false))?;
        self.online.values.begin_alike(self.settings.tied_init_scale.get(), &sample)?;
        Ok(self.target.variables.copy(&self.online.variables)?)
    }

    /// Variables and their prefixes.
    fn stores(&self) -> [(&'static str, &nn::VarStore); 4] {
        let Self { online, target, .. } = self;
        [
            ("encoder", &online.encoder.variables),
            ("values", &online.variables),
            ("target_encoder", &target.encoder.variables),
            ("target_values", &target.variables),
        ]
    }
}

impl Learner for Icvf<'_> {
    type Batch = Batch;

    fn update(&mut self, batch: &Batch, step: u64) -> anyhow::Result<Terms> {
        if step == 0 && self.settings.tied_init_scale.get() > 0.0 {
            self.begin_alike(batch)?;
        }
        self.adam.zero_grad();
        let loss = self.loss(batch, true, step >= self.settings.encoder_start_step)?;
        let terms = numbers(&loss)?;
        if terms.iter().any(|(_, value)| !value.is_finite()) {
            // The session stops here and names the term; the weights are unchanged.
            return Ok(terms);
        }
        loss.total.backward();
        // The target follows the parameters from before this step's descent.
        self.target.follow(&self.online, self.settings.tau.get())?;
        self.adam.step(self.settings.rate(step), self.settings.gradient_limit())?;
        Ok(terms)
    }

    fn state(&self) -> anyhow::Result<Vec<(String, Tensor)>> {
        let mut state: Vec<_> = self.stores().into_iter().flat_map(|(prefix, store)| named(prefix, store)).collect();
        state.extend(self.adam.state());
        Ok(state)
    }

    fn restore(&mut self, state: &[(String, Tensor)]) -> anyhow::Result<()> {
        for (prefix, store) in self.stores() {
            restore_named(prefix, store, state)?;
        }
        self.adam.restore(state)
    }

    /// Writes `encoder.safetensors`, f, for later phases, and `values.safetensors`, the two heads.
    fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let (encoder, values) = (folder.join("encoder.safetensors"), folder.join("values.safetensors"));
        let bytes = [self.online.encoder.to_bytes(&encoder)?, weights_bytes(&self.online.variables, &values)?];
        write_files(&[encoder, values].into_iter().zip(bytes).collect::<Vec<_>>())
    }

    /// The loss on held-out clips, and along each of them the share of steps where the value falls and where the embedding
    /// moves away from the last image.
    fn validate(&self) -> anyhow::Result<Terms> {
        if self.held_out.is_empty() {
            return Ok(Vec::new());
        }
        // All seeds use the same validation data.
        let batches =
            GoalBatches { augmentation: ClipAugmentation::NONE, seed: 0, ..self.settings.batches(self.held_out) };
        tch::no_grad(|| {
            let mut sum = 0.0;
            for step in 0..VALIDATION_BATCHES {
                sum += f64::try_from(self.loss(&batches.batch(step)?, false, false)?.total)?;
            }
            let (mut falling, mut away) = (Vec::new(), Vec::new());
            for clip in 0..self.held_out.len().min(VALIDATION_CLIPS) {
                let images = clip_images(self.held_out, clip, usize::MAX)?;
                let embeddings = rows(&images, |x| self.online.encoder.embed(x, false))?;
                let values = values_to_the_last(&self.online.values, &embeddings)?;
                falling.extend(falling_share(&values));
                away.extend(bumps(&embeddings));
            }
            let mean = |shares: &[f64]| {
                Spread::of(shares).map(|spread| spread.mean).context("every held-out clip has fewer than 2 images")
            };
            anyhow::Ok(vec![
                ("loss", sum / VALIDATION_BATCHES as f64),
                ("falling_share", mean(&falling)?),
                ("bumps", mean(&away)?),
            ])
        })
    }
}

/// All terms as numbers, read from the device at once.
fn numbers(loss: &Loss) -> anyhow::Result<Terms> {
    let (names, mut tensors): (Vec<_>, Vec<_>) = loss.terms.iter().map(|(name, t)| (*name, t.shallow_clone())).unzip();
    tensors.insert(0, loss.total.f_detach()?);
    let values = Vec::<f32>::try_from(Tensor::f_stack(&tensors, 0)?.f_to_device(Device::Cpu)?)?;
    ensure!(values.len() == names.len() + 1, "the loss has {} terms, {} were read", names.len() + 1, values.len());
    Ok(std::iter::once("loss").chain(names).zip(values.into_iter().map(f64::from)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{choose_device, fill, splitmix64};
    use crate::training::icvf::loss::Reached;
    use crate::training::icvf::tests::{Blank, Numbered, golden, numbers, settings};
    use crate::training::range::within;
    use tch::Kind;

    /// The images of the golden run; `first`: number of the first one.
    fn images(first: u64) -> Tensor {
        let pixel = |number: u64, y: u64, x: u64, c: u64| {
            let slope = (x * (c + 1) * 160 / 128 + y * (3 - c) * 64 / 128) % 224;
            (slope + (splitmix64(number, (y * 128 + x) * 3 + c) >> 59)) as f32 / 255.0
        };
        let of = |n| (0..3).flat_map(move |c| (0..128).flat_map(move |y| (0..128).map(move |x| pixel(n, y, x, c))));
        Tensor::from_slice(&(first..first + 2).flat_map(of).collect::<Vec<_>>()).reshape([2, 3, 128, 128])
    }

    #[test]
    fn ten_steps_of_encoder_and_heads_equal_pytorch() {
        let golden = golden("icvf.json");
        let run = &golden["learner"];
        let settings = Settings {
            hidden: vec![8, 6],
            steps: 10,
            learning_rate: within(run["learning_rate"].as_f64().unwrap()),
            tau: within(run["target_rate"].as_f64().unwrap()),
            final_lr_fraction: within(0.0),
            ..settings()
        };
        let nothing = Blank { frames: vec![] };
        let mut icvf = Icvf::new(&settings, &nothing, choose_device()).unwrap();
        for (i, (_, store)) in icvf.stores().into_iter().enumerate() {
            // The target starts with other weights, so that using the wrong network shows.
            fill(store, 7 + i as u64 / 2).unwrap();
        }
        let flags = |values: [f32; 2]| Tensor::from_slice(&values);
        let reached = Reached { g: flags([0.0, 1.0]), z: flags([0.0, 0.0]) };
        let batch = Batch::separate(&images(0), images(2), &images(4), &images(6), reached).unwrap();
        let expected = numbers(&run["losses"]);
        for (step, expected) in expected.iter().enumerate() {
            let loss = icvf.update(&batch, step as u64).unwrap()[0].1;
            assert!((loss - expected).abs() <= 1e-5 * expected.abs(), "step {step}: {loss}, not {expected}");
        }
        for (prefix, store) in icvf.stores() {
            for (name, variable) in store.variables() {
                // Values at even distances, and the distance the whole variable moved.
                let flat = variable.detach().flatten(0, -1).to_kind(Kind::Double);
                let stride = (flat.size()[0] / 8).max(1);
                let ours = Vec::<f64>::try_from(flat.slice(0, None, None, stride).contiguous()).unwrap();
                let entry = &run["after"][format!("{prefix}.{name}")];
                let theirs = numbers(&entry["values"]);
                assert_eq!(ours.len(), theirs.len());
                let moved = entry["largest_move"].as_f64().unwrap();
                let off = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(off <= 1e-3 * moved + 2e-7, "{prefix}.{name}: off by {off}, moved by {moved}");
            }
        }
    }

    #[test]
    fn a_restored_learner_goes_on_to_the_same_weights() {
        let clips = Numbered::sized(&[4, 3], 128);
        // Nothing may come from libtorch's generator, which tests share: no dropout, and initial weights are copied.
        let settings = Settings { batch_size: 2, hidden: vec![8], dropout: 0.0, bf16: false, ..settings() };
        let batches = settings.batches(&clips);
        let go = |icvf: &mut Icvf, steps: std::ops::Range<u64>| {
            for step in steps {
                icvf.update(&batches.batch(step).unwrap(), step).unwrap();
            }
        };
        let copied =
            |icvf: &Icvf| -> Vec<_> { icvf.state().unwrap().into_iter().map(|(name, t)| (name, t.copy())).collect() };
        let mut whole = Icvf::new(&settings, &clips, choose_device()).unwrap();
        let mut first = Icvf::new(&settings, &clips, choose_device()).unwrap();
        first.restore(&copied(&whole)).unwrap();
        go(&mut whole, 0..3);
        go(&mut first, 0..2);
        let state = copied(&first);
        let mut second = Icvf::new(&Settings { seed: 99, ..settings.clone() }, &clips, choose_device()).unwrap();
        second.restore(&state).unwrap();
        go(&mut second, 2..3);
        for ((name, a), (_, b)) in whole.state().unwrap().iter().zip(second.state().unwrap()) {
            assert!(a.equal(&b), "{name} differs");
        }
        let error = second.restore(&state[1..]).unwrap_err().to_string();
        assert!(error.contains(&state[0].0), "{error}");
    }

    #[test]
    fn the_encoder_waits_for_its_heads_and_both_go_on_from_a_checkpoint() {
        let clips = Numbered::sized(&[40, 30], 128);
        let settings = Settings {
            batch_size: 4,
            images_per_clip: 2,
            goals_per_image: 3,
            stride: 2,
            hidden: vec![8],
            layer_norm: true,
            tied_init_scale: within(0.2),
            encoder_start_step: 1,
            encoder_lr_fraction: within(0.1),
            ..settings()
        };
        let batches = settings.batches(&clips);
        let images = |icvf: &Icvf| icvf.online.encoder.variables.variables()["conv1.weight"].copy();
        let mut whole = Icvf::new(&settings, &clips, choose_device()).unwrap();
        let begin = images(&whole);
        whole.update(&batches.batch(0).unwrap(), 0).unwrap();
        assert!(images(&whole).equal(&begin));
        let state: Vec<_> = whole.state().unwrap().into_iter().map(|(name, t)| (name, t.copy())).collect();
        let mut second = Icvf::new(&Settings { seed: 99, ..settings.clone() }, &clips, choose_device()).unwrap();
        second.restore(&state).unwrap();
        for icvf in [&mut whole, &mut second] {
            icvf.update(&batches.batch(1).unwrap(), 1).unwrap();
        }
        assert!(!images(&whole).equal(&begin));
        for ((name, a), (_, b)) in whole.state().unwrap().iter().zip(second.state().unwrap()) {
            assert!(a.equal(&b), "{name} differs");
        }
    }

    #[test]
    fn saved_files_return_the_learners_embeddings_and_values() {
        let folder = tempfile::tempdir().unwrap();
        let clips = Numbered::sized(&[4, 3], 128);
        let icvf = Icvf::new(&settings(), &clips, choose_device()).unwrap();
        icvf.save(folder.path()).unwrap();
        let encoder = crate::encoder::Encoder::load(
            crate::encoder::EncoderKind::Small,
            &folder.path().join("encoder.safetensors"),
            choose_device(),
        )
        .unwrap();
        let embeddings = crate::training::diagnostics::embed_clip(&encoder, &clips, 0).unwrap();
        let (_variables, values) =
            crate::training::icvf::load_values(&folder.path().join("values.safetensors"), choose_device()).unwrap();
        let ours = values_to_the_last(&values, &embeddings).unwrap();
        let own = rows(&clip_images(&clips, 0, usize::MAX).unwrap(), |x| icvf.online.encoder.embed(x, false));
        let theirs = values_to_the_last(&icvf.online.values, &own.unwrap()).unwrap();
        assert_eq!(ours.len(), 4);
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    }

    #[test]
    fn a_value_that_is_not_finite_is_reported_before_the_weights_change() {
        let clips = Numbered::sized(&[4, 3], 128);
        let mut icvf = Icvf::new(&settings(), &clips, choose_device()).unwrap();
        let mut batch = settings().batches(&clips).batch(0).unwrap();
        batch.images *= f64::NAN;
        let before: Vec<_> = named("", &icvf.online.variables).into_iter().map(|(n, t)| (n, t.copy())).collect();
        let terms = icvf.update(&batch, 5).unwrap();
        assert!(terms[0].0 == "loss" && terms[0].1.is_nan(), "{terms:?}");
        assert!(named("", &icvf.online.variables).iter().zip(&before).all(|(a, b)| a.1.equal(&b.1)));
    }

    #[test]
    fn validation_uses_the_held_out_clips() {
        let clips = Numbered::sized(&[4, 3], 128);
        let icvf = Icvf::new(&settings(), &clips, choose_device()).unwrap();
        let terms = icvf.validate().unwrap();
        assert_eq!(terms.iter().map(|term| term.0).collect::<Vec<_>>(), ["loss", "falling_share", "bumps"]);
        assert!(terms.iter().all(|term| term.1.is_finite() && term.1 >= 0.0) && terms[1].1 <= 1.0);
        let nothing = Blank { frames: vec![] };
        assert!(Icvf::new(&settings(), &nothing, choose_device()).unwrap().validate().unwrap().is_empty());
    }
}
