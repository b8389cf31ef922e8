//! Several policies interleaved: order, letters, resumption, and pairwise tests.

use std::path::Path;

use visuomotor::episode::Outcome;
use visuomotor::evaluation::comparison::{COMPARISON_FILE, COMPARISON_PAGE};
use visuomotor::evaluation::statistics::{holm, mcnemar_exact};
use visuomotor::evaluation::{
    ComparisonReport, Contest, EvaluationOptions, Scenario, TrialPlan, TrialRun, TrialRunner, compare, letters, plans,
};

use super::fixture::{Scripted, options, scene, tasks};

/// The first policy always succeeds, the second in every second trial, the third never.
struct Three {
    ran: Vec<(usize, String)>,
    fails_after: usize,
}

impl Contest for Three {
    fn run(&mut self, policy: usize, plan: &TrialPlan, episode_name: &str) -> anyhow::Result<Option<TrialRun>> {
        anyhow::ensure!(self.ran.len() < self.fails_after, "the bus is gone");
        self.ran.push((policy, plan.name()));
        let outcome: fn(&TrialPlan) -> Outcome = match policy {
            0 => |_| Outcome::Success { judge: "rule".into() },
            1 => super::fixture::every_second,
            _ => |_| Outcome::Failure { judge: "rule".into(), why: "not lifted".into() },
        };
        Scripted { outcome, ..Scripted::new() }.run(plan, episode_name)
    }
}

fn entrants(folder: &Path) -> Vec<EvaluationOptions> {
    let names: Vec<String> = ["always", "half <b>", "never"].map(String::from).to_vec();
    let letters = letters(7, &names);
    let one = |(name, letter): (String, char)| EvaluationOptions {
        policy: name,
        folder: folder.join(letter.to_string()),
        ..options(folder)
    };
    names.into_iter().zip(letters).map(one).collect()
}

fn run(folder: &Path, contest: &mut Three) -> anyhow::Result<ComparisonReport> {
    let scene = scene();
    let plans = plans(&scene, Scenario::Plain, &tasks(), 7).unwrap();
    compare(folder, &entrants(folder), &scene, &plans, contest, &mut |_, _| {}, &|| false)
}

#[test]
fn every_layout_is_laid_for_each_policy_before_the_next_in_changing_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut contest = Three { ran: Vec::new(), fails_after: usize::MAX };
    let report = run(folder.path(), &mut contest).unwrap();
    assert_eq!(contest.ran.len(), 3 * 48);
    let mut orders = std::collections::BTreeSet::new();
    for turn in contest.ran.chunks(3) {
        assert!(turn.iter().all(|(_, name)| *name == turn[0].1), "{turn:?}");
        let order: Vec<usize> = turn.iter().map(|(policy, _)| *policy).collect();
        assert_eq!(order.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
        orders.insert(order);
    }
    assert_eq!(orders.len(), 6, "every order of three occurs in 48 turns");
    let names: Vec<&str> = report.standings.iter().map(|s| s.policy.as_str()).collect();
    assert_eq!(names, ["always", "half <b>", "never"], "best first");
    assert_eq!(report.standings[1].total.successes, 24);
    assert!(report.complete);
    let read: ComparisonReport =
        serde_json::from_slice(&std::fs::read(folder.path().join(COMPARISON_FILE)).unwrap()).unwrap();
    assert_eq!(read, report);
    let page = std::fs::read_to_string(folder.path().join(COMPARISON_PAGE)).unwrap();
    assert!(page.contains("half &lt;b&gt;") && !page.contains("half <b>"));
    let first = &report.standings[0];
    assert!(page.contains(&format!("href=\"{}/report.html\"", first.folder)));
    assert!(folder.path().join(&first.folder).join("report.html").is_file());
}

#[test]
fn pairs_are_told_apart_by_the_trials_in_which_only_one_succeeded() {
    let folder = tempfile::tempdir().unwrap();
    let report = run(folder.path(), &mut Three { ran: Vec::new(), fails_after: usize::MAX }).unwrap();
    let pair = &report.pairs[0];
    assert_eq!((pair.both_ran, pair.only_left, pair.only_right), (48, 24, 0));
    // 2 * 0.5^24, times three pairs.
    assert!((pair.mcnemar_p - 2.0 * 0.5f64.powi(24)).abs() < 1e-15, "{}", pair.mcnemar_p);
    assert!((pair.corrected_p - 2.0 * pair.mcnemar_p).abs() < 1e-14, "{}", pair.corrected_p);
    assert!(report.pairs.iter().all(|pair| pair.differs()));
    assert!(report.table().contains("a real difference"));
}

#[test]
fn a_comparison_that_broke_off_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut broken = Three { ran: Vec::new(), fails_after: 20 };
    let error = run(folder.path(), &mut broken).unwrap_err();
    assert!(format!("{error:#}").contains("the bus is gone"), "{error:#}");
    let mut again = Three { ran: Vec::new(), fails_after: usize::MAX };
    assert!(run(folder.path(), &mut again).unwrap().complete);
    let mut all = [broken.ran, again.ran].concat();
    assert_eq!(all.len(), 3 * 48);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 3 * 48, "nothing ran twice");
}

/// An operator who ends the evaluation after this number of trials.
struct Tired {
    inner: Three,
    after: usize,
}

impl Contest for Tired {
    fn run(&mut self, policy: usize, plan: &TrialPlan, episode_name: &str) -> anyhow::Result<Option<TrialRun>> {
        if self.inner.ran.len() == self.after { Ok(None) } else { self.inner.run(policy, plan, episode_name) }
    }
}

#[test]
fn whoever_wants_no_more_gets_what_was_found_so_far() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene();
    let plans = plans(&scene, Scenario::Plain, &tasks(), 7).unwrap();
    let mut tired = Tired { inner: Three { ran: Vec::new(), fails_after: usize::MAX }, after: 10 };
    let entrants = entrants(folder.path());
    let report = compare(folder.path(), &entrants, &scene, &plans, &mut tired, &mut |_, _| {}, &|| false).unwrap();
    assert!(!report.complete);
    assert_eq!(report.standings.iter().map(|s| s.total.trials + s.total.aborted).sum::<u64>(), 10);
}

#[test]
fn one_policy_is_no_comparison() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene();
    let plans = plans(&scene, Scenario::Plain, &tasks(), 7).unwrap();
    let mut contest = Three { ran: Vec::new(), fails_after: 0 };
    let one = &entrants(folder.path())[..1];
    let error = compare(folder.path(), one, &scene, &plans, &mut contest, &mut |_, _| {}, &|| false).unwrap_err();
    assert!(error.to_string().contains("found 1 policies"), "{error}");
}

#[test]
fn letters_depend_on_the_seed_and_not_on_who_is_named_first() {
    let names: Vec<String> = ["a", "b", "c", "d"].map(String::from).to_vec();
    let drawn: std::collections::BTreeSet<Vec<char>> = (0..20).map(|seed| letters(seed, &names)).collect();
    assert!(drawn.len() > 5, "{drawn:?}");
    assert!(drawn.iter().all(|letters| {
        let mut sorted = letters.clone();
        sorted.sort_unstable();
        sorted == ['A', 'B', 'C', 'D']
    }));
}

#[test]
fn mcnemar_and_holm_give_known_values() {
    // R: binom.test(1, 10)$p.value = 0.02148438; binom.test(3, 8)$p.value = 0.7265625.
    assert!((mcnemar_exact(1, 9) - 0.021_484_375).abs() < 1e-12);
    assert!((mcnemar_exact(5, 3) - 0.726_562_5).abs() < 1e-12);
    assert_eq!((mcnemar_exact(0, 0), mcnemar_exact(4, 4)), (1.0, 1.0));
    // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") = 0.03 0.06 0.06 0.02.
    let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
    for (ours, known) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
        assert!((ours - known).abs() < 1e-12, "{corrected:?}");
    }
}
