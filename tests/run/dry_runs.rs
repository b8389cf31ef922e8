//! A dry run of every station, by its emulated controller's own count of commands: nothing that turns torque on,
//! changes a mode or moves anything; and a short run over the same link, by the same count.

use visuomotor::driver::Order;

use super::bench::{Bench, Link};

/// Commands of a run over each link beside motions, so that a broken count is found.
const LINKS: [(Link, &[Order]); 6] = [
    (Link::Servos, &[Order::Torque]),
    (Link::XsSdk, &[Order::Torque]),
    (Link::Fci, &[]),
    (Link::Ros2Control, &[Order::Mode]),
    (Link::Sawyer, &[Order::Torque]),
    (Link::Jaco, &[Order::Setting]),
];

/// Runs that may stall on a machine that is busy with other tests.
const TRIES: usize = 6;

#[test]
fn a_dry_run_of_every_station_orders_nothing_and_a_run_does() {
    for (link, expected) in LINKS {
        let bench = Bench::start(link);
        let folder = tempfile::tempdir().unwrap();
        let mut told = String::new();
        let dry = (0..TRIES).any(|_| {
            let output = bench.run(folder.path(), &["--dry-run", "--seconds", "1"]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            told.push_str(&format!("{said}{}\n", String::from_utf8_lossy(&output.stderr)));
            output.status.code() == Some(0) && said.contains("none sent") && said.contains("time is up")
        });
        assert!(dry, "{link:?}: no dry run reached its end: {told}");
        // Also of those that ended early.
        let orders = bench.orders.all();
        assert!(orders.is_empty(), "{link:?}: a dry run sent {orders:?}: {told}");
        let driven = (0..TRIES).any(|_| {
            let output = bench.run(folder.path(), &["--seconds", "1"]).output().unwrap();
            told.push_str(&format!("{output:?}\n"));
            let orders = bench.orders.all();
            [&[Order::Motion][..], expected].concat().iter().all(|order| orders.contains_key(order))
        });
        println!("{link:?}: dry run {orders:?}, run {:?}", bench.orders.all());
        assert!(driven, "{link:?}: a run was not counted: {:?}: {told}", bench.orders.all());
    }
}
