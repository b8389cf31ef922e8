//! The services and the action of Kinova's node, and their requests to its loop.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Inactivity, wire};
use crate::driver::{Order, Orders};
use crate::transport::ros2::messages::kinova::{
    ClearTrajectories, SetFingersPosition, SetFingersPositionPart, SetTorqueControlMode, SetTorqueControlParameters,
    Start, StartResponse, Stop, StopResponse, Told, ZeroTorques,
};
use crate::transport::ros2::messages::std::Empty;
use crate::transport::ros2::{ActionEnd, RosError, RosNode, RosServer};
use visuomotor_core::config::Gripper;

/// State shared by services and the loop.
#[derive(Default)]
pub(super) struct Shared {
    requests: Mutex<Requests>,
    pub(super) torque_mode: AtomicBool,
}

/// Requests of the services to the loop, and its results.
#[derive(Default)]
pub(super) struct Requests {
    pub(super) torque_mode: Option<bool>,
    pub(super) clear: bool,
    pub(super) stopped: bool,
    pub(super) fingers: Option<f64>,
    pub(super) zero: bool,
    /// Zero offset of every sensor from now on \[Nm\].
    pub(super) bias: Option<f64>,
    /// Torques are published with the weight, as a node does by default.
    pub(super) weighed: bool,
    /// Nothing is published.
    pub(super) muted: bool,
    pub(super) inactivity: Inactivity,
}

impl Shared {
    pub(super) fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves them on this node.
pub(super) fn start(
    node: &RosNode,
    gripper: &Gripper,
    shared: &Arc<Shared>,
    orders: &Orders,
) -> Result<Vec<RosServer>, RosError> {
    /// Counts an order, and passes the request to the loop.
    fn order(
        shared: &Arc<Shared>,
        orders: &Orders,
        order: Order,
        change: fn(&mut Requests),
    ) -> impl Fn() + Send + use<> {
        let (shared, orders) = (Arc::clone(shared), orders.clone());
        move || {
            orders.note(order);
            change(&mut shared.requests());
        }
    }
    let on = |kind, change| order(shared, orders, kind, change);
    let (enter, leave) = (
        on(Order::Mode, |requests| requests.torque_mode = Some(true)),
        on(Order::Mode, |requests| requests.torque_mode = Some(false)),
    );
    let parameters = on(Order::Setting, |_| ());
    let clear = on(Order::Setting, |requests| requests.clear = true);
    let zero = on(Order::Setting, |requests| requests.zero = true);
    let stop = on(Order::Torque, |requests| requests.stopped = true);
    let begin = on(Order::Recovery, |requests| requests.stopped = false);
    let (gripper, fingers, finger_orders) = (gripper.clone(), Arc::clone(shared), orders.clone());
    Ok(vec![
        node.serve::<SetTorqueControlMode>("in/set_torque_control_mode", move |request| {
            if request.state == 1 {
                enter()
            } else {
                leave()
            }
            Empty::default()
        })?,
        node.serve::<SetTorqueControlParameters>("in/set_torque_control_parameters", move |_| {
            parameters();
            Told::default()
        })?,
        node.serve::<ClearTrajectories>("in/clear_trajectories", move |_| {
            clear();
            Told::default()
        })?,
        node.serve::<Stop>("in/stop", move |_| {
            stop();
            StopResponse::default()
        })?,
        node.serve::<Start>("in/start", move |_| {
            begin();
            StartResponse::default()
        })?,
        node.serve::<ZeroTorques>("in/set_zero_torques", move |_| {
            zero();
            Told::default()
        })?,
        node.serve_action::<SetFingersPosition>(
            "fingers_action/finger_positions",
            |_| true,
            move |goal| {
                finger_orders.note(Order::Gripper);
                let angle = wire::finger_angle(&goal.fingers);
                fingers.requests().fingers = Some(gripper.fraction_from_finger(angle));
                (ActionEnd::Succeeded, SetFingersPositionPart { fingers: goal.fingers })
            },
        )?,
    ])
}
