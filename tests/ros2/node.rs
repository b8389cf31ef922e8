//! Two of our nodes.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use visuomotor::transport::ros2::messages::sensor::{Image, JointState};
use visuomotor::transport::ros2::{
    ActionEnd, Qos, RosAction, RosError, RosMessage, RosNode, RosService, RosSettings, ServiceLayout,
};

use super::{LONG, domain, node};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Number {
    value: i64,
}

impl RosMessage for Number {
    const PACKAGE: &'static str = "test_msgs";
    const NAME: &'static str = "Number";
}

/// The same name on the wire, other fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Text {
    value: String,
}

impl RosMessage for Text {
    const PACKAGE: &'static str = "test_msgs";
    const NAME: &'static str = "Number";
    const MAX_BYTES: usize = 100;
}

struct Double;

impl RosService for Double {
    const PACKAGE: &'static str = "test_msgs";
    const NAME: &'static str = "Double";
    type Request = Number;
    type Response = Number;
}

impl RosAction for Double {
    const PACKAGE: &'static str = "test_msgs";
    const NAME: &'static str = "Double";
    type Goal = Number;
    type Result = Number;
    type Feedback = Number;
}

fn state(names: usize) -> JointState {
    let name = (0..names).map(|i| format!("joint_{i}")).collect();
    JointState { name, position: vec![0.5; names], ..JointState::default() }
}

#[test]
fn a_message_arrives_and_the_newest_wins() {
    let domain = domain();
    let (a, b) = (node("a", domain), node("b", domain));
    let publisher = a.publisher::<JointState>("/joint_states", Qos::State).unwrap();
    let mut subscriber = b.subscriber::<JointState>("/joint_states", Qos::State).unwrap();
    let before = Instant::now();
    publisher.wait_for_subscriber(LONG).unwrap();
    println!("matched after {:?}", before.elapsed());
    // The publisher knows the subscriber; the other way may take a moment longer.
    while subscriber.publishers() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let first = loop {
        publisher.publish(state(7)).unwrap();
        if let Some(message) = subscriber.wait(Duration::from_millis(100)).unwrap() {
            break message;
        }
    };
    assert_eq!(first, state(7));
    assert_eq!((publisher.subscribers(), subscriber.publishers(), publisher.other_publishers()), (1, 1, 0));
    publisher.publish(state(1)).unwrap();
    publisher.publish(state(2)).unwrap();
    let mut last = None;
    while last.as_ref().is_none_or(|state: &JointState| state.name.len() != 2) {
        last = subscriber.newest().unwrap().or(last);
    }
    assert_eq!(subscriber.take().unwrap(), None);
}

#[test]
fn an_image_arrives_whole() {
    let domain = domain();
    let (a, b) = (node("a", domain), node("b", domain));
    let publisher = a.publisher::<Image>("/image", Qos::Sensor).unwrap();
    let mut subscriber = b.subscriber::<Image>("/image", Qos::Sensor).unwrap();
    publisher.wait_for_subscriber(LONG).unwrap();
    let data: Vec<u8> = (0..640 * 480 * 3u32).map(|i| (i % 251) as u8).collect();
    let sent = Image { height: 480, width: 640, encoding: "rgb8".into(), step: 1920, data, ..Image::default() };
    let deadline = Instant::now() + LONG;
    let received = loop {
        publisher.publish(sent.clone()).unwrap();
        if let Some(image) = subscriber.wait(Duration::from_millis(200)).unwrap() {
            break image;
        }
        assert!(Instant::now() < deadline, "no image within {LONG:?}");
    };
    assert!(received == sent);
}

#[test]
fn another_type_or_quality_of_service_is_silence_with_a_reason() {
    let domain = domain();
    let (a, b) = (node("a", domain), node("b", domain));
    let _other_type = a.publisher::<JointState>("/state", Qos::State).unwrap();
    let _best_effort = a.publisher::<Number>("/number", Qos::Sensor).unwrap();
    let subscriber = b.subscriber::<Number>("/state", Qos::State).unwrap();
    let reliable = b.subscriber::<Number>("/number", Qos::Reliable).unwrap();
    let nobody = b.subscriber::<Number>("/nobody", Qos::Reliable).unwrap();
    while b.publishers_of("/state").is_empty() || b.publishers_of("/number").is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!((subscriber.publishers(), reliable.publishers()), (0, 0));
    let text = subscriber.silence(Duration::from_secs(1)).to_string();
    assert!(text.contains("sensor_msgs::msg::dds_::JointState_") && text.contains("test_msgs/Number"), "{text}");
    let text = reliable.silence(Duration::from_secs(1)).to_string();
    assert!(text.contains("best effort"), "{text}");
    let text = nobody.silence(Duration::from_secs(1)).to_string();
    assert!(text.contains(&format!("domain {domain}")) && text.contains("/nobody"), "{text}");
}

#[test]
fn malformed_and_oversized_messages_are_counted_and_dropped() {
    let domain = domain();
    let (a, b) = (node("a", domain), node("b", domain));
    let mut subscriber = b.subscriber::<Text>("/text", Qos::Reliable).unwrap();
    // Read as text, this number is a string of 2^31 bytes in a message of eight.
    let wrong = a.publisher::<Number>("/text", Qos::Reliable).unwrap();
    let right = node("c", domain).publisher::<Text>("/text", Qos::Reliable).unwrap();
    wrong.wait_for_subscriber(LONG).unwrap();
    right.wait_for_subscriber(LONG).unwrap();
    while subscriber.publishers() < 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    while subscriber.dropped() == 0 {
        wrong.publish(Number { value: 1 << 31 }).unwrap();
        assert_eq!(subscriber.wait(Duration::from_millis(50)).unwrap(), None);
    }
    let malformed = subscriber.dropped();
    while subscriber.dropped() == malformed {
        right.publish(Text { value: "x".repeat(200) }).unwrap();
        assert_eq!(subscriber.wait(Duration::from_millis(50)).unwrap(), None);
    }
    let small = Text { value: "small".into() };
    loop {
        right.publish(small.clone()).unwrap();
        if subscriber.wait(Duration::from_millis(50)).unwrap() == Some(small.clone()) {
            break;
        }
    }
}

fn call_through(services: ServiceLayout) {
    let domain = domain();
    let at = |name: &str| RosNode::start(RosSettings::loopback(name, domain).with_services(services)).unwrap();
    let (a, b) = (at("a"), at("b"));
    let mut client = b.client::<Double>("/double").unwrap();
    let error = client.call(Number { value: 1 }, Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, RosError::NoPeer { .. }), "{error}");
    let server = a.serve::<Double>("/double", |request| Number { value: 2 * request.value }).unwrap();
    for value in 0..20 {
        assert_eq!(client.call(Number { value }, LONG).unwrap(), Number { value: 2 * value });
    }
    // A second client gets its own replies.
    let mut second = b.client::<Double>("/double").unwrap();
    assert_eq!(second.call(Number { value: 21 }, LONG).unwrap(), Number { value: 42 });
    drop(server);
    while client.available() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_service_answers_in_both_layouts() {
    call_through(ServiceLayout::Enhanced);
    call_through(ServiceLayout::Cyclone);
}

#[test]
fn an_action_runs_refuses_and_aborts() {
    let domain = domain();
    let (a, b) = (node("a", domain), node("b", domain));
    let run = |goal: Number| {
        let end = if goal.value > 10 { ActionEnd::Aborted } else { ActionEnd::Succeeded };
        (end, Number { value: 2 * goal.value })
    };
    let _server = a.serve_action::<Double>("/double", |goal| goal.value >= 0, run).unwrap();
    let mut client = b.action_client::<Double>("/double").unwrap();
    assert_eq!(client.execute(Number { value: 4 }, LONG).unwrap(), Number { value: 8 });
    let refused = client.execute(Number { value: -1 }, LONG).unwrap_err();
    assert!(refused.to_string().contains("does not accept"), "{refused}");
    let aborted = client.execute(Number { value: 11 }, LONG).unwrap_err();
    assert!(aborted.to_string().contains("Aborted"), "{aborted}");
    assert_eq!(client.execute(Number { value: 5 }, LONG).unwrap(), Number { value: 10 });
}

#[test]
fn a_node_that_ended_is_forgotten_and_one_that_comes_back_is_found() {
    let domain = domain();
    let b = node("b", domain);
    let mut subscriber = b.subscriber::<Number>("/number", Qos::State).unwrap();
    for round in 0..3 {
        let a = node("a", domain);
        let publisher = a.publisher::<Number>("/number", Qos::State).unwrap();
        let deadline = Instant::now() + LONG;
        loop {
            publisher.publish(Number { value: round }).unwrap();
            if subscriber.wait(Duration::from_millis(20)).unwrap() == Some(Number { value: round }) {
                break;
            }
            assert!(Instant::now() < deadline, "round {round}");
        }
        drop((publisher, a));
        while subscriber.publishers() > 0 {
            std::thread::sleep(Duration::from_millis(1));
            assert!(Instant::now() < deadline, "the publisher of round {round} is still there");
        }
    }
}

#[test]
fn a_bad_name_is_refused_in_words() {
    let a = node("a", domain());
    let error = a.publisher::<Number>("/joint states", Qos::State).err().unwrap().to_string();
    assert!(error.contains("/joint states"), "{error}");
}
