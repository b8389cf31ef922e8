//! Intervals and tests against values computed by hand or by R (`binom.test`, `fisher.test`).

use visuomotor::evaluation::statistics::{Interval, clopper_pearson95, fisher_exact, plain_words, wilson95};

fn near(found: Interval, low: f64, high: f64) {
    assert!((found.low - low).abs() < 5e-5 && (found.high - high).abs() < 5e-5, "{found:?} is not [{low}, {high}]");
}

#[test]
fn wilson_intervals_are_the_known_ones() {
    near(wilson95(6, 12), 0.2538, 0.7462);
    near(wilson95(0, 12), 0.0, 0.2425);
    near(wilson95(12, 12), 0.7575, 1.0);
    near(wilson95(24, 48), 0.3639, 0.6361);
    near(wilson95(0, 0), 0.0, 1.0);
}

#[test]
fn clopper_pearson_intervals_are_the_known_ones() {
    near(clopper_pearson95(0, 12), 0.0, 0.2646);
    near(clopper_pearson95(12, 12), 0.7354, 1.0);
    near(clopper_pearson95(6, 12), 0.2109, 0.7891);
    near(clopper_pearson95(0, 0), 0.0, 1.0);
    // Closed form for one trial: 0.025^(1/1).
    near(clopper_pearson95(1, 1), 0.025, 1.0);
}

#[test]
fn the_exact_interval_contains_wilsons_center_and_is_symmetric() {
    for n in [1, 9, 12, 48, 500] {
        for k in 0..=n {
            let exact = clopper_pearson95(k, n);
            let mirrored = clopper_pearson95(n - k, n);
            assert!((exact.low - (1.0 - mirrored.high)).abs() < 1e-9, "{k}/{n}");
            assert!(exact.low <= k as f64 / n as f64 && k as f64 / n as f64 <= exact.high, "{k}/{n}");
        }
    }
}

#[test]
fn fishers_test_gives_the_known_chances() {
    let close =
        |found: f64, wanted: f64, within: f64| assert!((found - wanted).abs() < within, "{found} is not {wanted}");
    close(fisher_exact((24, 48), (7, 48)), 0.0004, 5e-5);
    close(fisher_exact((6, 12), (5, 12)), 1.0, 1e-9);
    close(fisher_exact((5, 12), (2, 12)), 0.3707, 5e-5);
    close(fisher_exact((3, 9), (1, 9)), 0.5765, 5e-5);
    close(fisher_exact((44, 72), (35, 72)), 0.18, 5e-3);
    // The lady tasting tea: 3 v 1 of 4 is 34/70.
    close(fisher_exact((3, 4), (1, 4)), 34.0 / 70.0, 1e-9);
    close(fisher_exact((0, 0), (3, 4)), 1.0, 1e-9);
}

#[test]
fn plain_words_are_computed_from_the_numbers() {
    assert_eq!(
        plain_words(6, 12),
        "12 trials: 6/12 is compatible with a true rate between 25 % and 75 %; a rival needs at least 12/12 or at most \
         0/12 to differ at the 5 % level."
    );
    // 11/12 is not significant: its probability is 0.069.
    assert!(fisher_exact((6, 12), (11, 12)) > 0.05);
    assert!(plain_words(0, 12).contains("at least 5/12"), "{}", plain_words(0, 12));
    assert!(plain_words(0, 12).contains("no rival can be shown to be worse"));
    assert!(plain_words(0, 0).contains("no conclusion"));
    assert!(plain_words(1, 1).contains("no result of a rival"), "{}", plain_words(1, 1));
}
