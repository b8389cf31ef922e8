//! A node's settings on the ROS 2 graph: domain, reach, namespace, remaps. ros2-client reads no environment variable, so that is
//! done here, and unsupported values are rejected with a message instead of being ignored.

use std::collections::BTreeMap;

use ros2_client::{COMPILED_ROS_DISTRO, RosDistro, ServiceMapping};
use serde::{Deserialize, Serialize};

use super::RosError;

/// How far discovery reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DiscoveryRange {
    /// No discovery.
    Off,
    /// This machine only.
    Localhost,
    /// All machines multicast reaches.
    Subnet,
}

/// How services are mapped to DDS: the middlewares of ROS 2 use different, incompatible mappings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceLayout {
    /// `rmw_fastrtps_cpp` (the default of ROS 2) and `rmw_connextdds`.
    #[default]
    Enhanced,
    /// `rmw_cyclonedds_cpp`.
    Cyclone,
}

impl ServiceLayout {
    pub(super) fn mapping(self) -> ServiceMapping {
        match self {
            ServiceLayout::Enhanced => ServiceMapping::Enhanced,
            ServiceLayout::Cyclone => ServiceMapping::Cyclone,
        }
    }
}

/// A node's settings on the ROS 2 graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosSettings {
    /// Node name without namespace.
    pub node: String,
    /// Namespace of the node and of relative names, `/` or `/wx250s`.
    pub namespace: String,
    /// DDS domain, 0 to 232.
    pub domain: u16,
    /// How far discovery reaches.
    pub range: DiscoveryRange,
    /// Our names and their remapped names on this robot; relative ones are within the namespace.
    pub remap: BTreeMap<String, String>,
    /// How services are mapped to DDS.
    pub services: ServiceLayout,
}

/// The largest DDS domain whose ports exist.
const LARGEST_DOMAIN: u16 = 232;

fn refuse(what: &str, found: &str, expected: impl Into<String>, fix: impl Into<String>) -> RosError {
    RosError::Setting { what: what.into(), found: format!("`{found}`"), expected: expected.into(), fix: fix.into() }
}

impl RosSettings {
    /// From the environment, like any ROS 2 node: `ROS_DOMAIN_ID`, `ROS_AUTOMATIC_DISCOVERY_RANGE`, `ROS_LOCALHOST_ONLY`,
    /// `RMW_IMPLEMENTATION`; `ROS_DISTRO` is checked against the distribution built for. `ROS_STATIC_PEERS` and
    /// `ROS_SECURITY_ENABLE` are not supported and rejected.
    pub fn from_environment(node: &str) -> Result<Self, RosError> {
        Self::from_variables(node, |name| std::env::var(name).ok())
    }

    /// [`RosSettings::from_environment`] with the variables as an argument.
    pub fn from_variables(node: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, RosError> {
        let get = |name: &str| variable(name).map(|value| value.trim().to_string()).filter(|value| !value.is_empty());
        let mut settings = Self::loopback(node, 0);
        settings.range = DiscoveryRange::Subnet;
        if let Some(text) = get("ROS_DOMAIN_ID") {
            settings.domain = text.parse().ok().filter(|id| *id <= LARGEST_DOMAIN).ok_or_else(|| {
                refuse("ROS_DOMAIN_ID", &text, format!("a number from 0 to {LARGEST_DOMAIN}"), "use the robot's domain")
            })?;
        }
        if let Some(text) = get("ROS_AUTOMATIC_DISCOVERY_RANGE") {
            settings.range = match text.to_ascii_uppercase().as_str() {
                "SUBNET" | "SYSTEM_DEFAULT" => DiscoveryRange::Subnet,
                "LOCALHOST" => DiscoveryRange::Localhost,
                "OFF" => DiscoveryRange::Off,
                _ => {
                    return Err(refuse(
                        "ROS_AUTOMATIC_DISCOVERY_RANGE",
                        &text,
                        "SUBNET, LOCALHOST, OFF or SYSTEM_DEFAULT",
                        "unset it for SUBNET",
                    ));
                }
            };
        }
        match get("ROS_LOCALHOST_ONLY").as_deref() {
            None | Some("0") => {}
            // Two variables that disagree: the narrower one, so that nothing leaks onto a network by accident.
            Some("1") => settings.range = settings.range.min(DiscoveryRange::Localhost),
            Some(other) => return Err(refuse("ROS_LOCALHOST_ONLY", other, "0 or 1", "unset it")),
        }
        if let Some(text) = get("ROS_STATIC_PEERS") {
            let fix = "unset it, and let multicast find the robot or run on the robot's computer";
            return Err(refuse("ROS_STATIC_PEERS", &text, "nothing: RustDDS has no list of peers", fix));
        }
        if get("ROS_SECURITY_ENABLE").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            let fix = "unset it, or keep the robot on a network of its own";
            return Err(refuse("ROS_SECURITY_ENABLE", "true", "false: SROS 2 is not built in", fix));
        }
        match get("RMW_IMPLEMENTATION").as_deref() {
            Some("rmw_cyclonedds_cpp") => settings.services = ServiceLayout::Cyclone,
            Some(other) if other.contains("zenoh") => {
                let fix = "start the robot's nodes with RMW_IMPLEMENTATION=rmw_fastrtps_cpp";
                return Err(refuse("RMW_IMPLEMENTATION", other, "a DDS middleware", fix));
            }
            _ => {}
        }
        if let Some(text) = get("ROS_DISTRO") {
            // The size of an entity's id in the graph announcements changed from Humble to Iron.
            let (fits, feature) = match COMPILED_ROS_DISTRO {
                RosDistro::Galactic | RosDistro::Humble => (["galactic", "humble"].contains(&text.as_str()), "humble"),
                _ => (!["foxy", "galactic", "humble"].contains(&text.as_str()), "jazzy"),
            };
            if !fits {
                let other = if feature == "jazzy" { "humble" } else { "jazzy" };
                return Err(refuse(
                    "ROS_DISTRO",
                    &text,
                    format!("a distribution that fits the build feature `{feature}`"),
                    format!(
                        "build with `--no-default-features --features ros2,{other}` and the other features you use"
                    ),
                ));
            }
        }
        Ok(settings)
    }

    /// This machine only, in a domain of its own: for tests and emulated controllers.
    pub fn loopback(node: &str, domain: u16) -> Self {
        Self {
            node: node.into(),
            namespace: "/".into(),
            domain,
            range: DiscoveryRange::Localhost,
            remap: BTreeMap::new(),
            services: ServiceLayout::default(),
        }
    }

    /// The same in a namespace (`wx250s` and `/wx250s` mean the same).
    pub fn with_namespace(mut self, namespace: &str) -> Self {
        self.namespace = format!("/{}", namespace.trim_matches('/'));
        self
    }

    /// The same with names remapped.
    pub fn with_remap(mut self, remap: BTreeMap<String, String>) -> Self {
        self.remap = remap;
        self
    }

    /// The same with another mapping of services.
    pub fn with_services(mut self, services: ServiceLayout) -> Self {
        self.services = services;
        self
    }

    /// The absolute name after namespace and remap: `/x` stays, `x` is in the namespace, `~/x` below the node.
    pub fn resolve(&self, name: &str) -> String {
        let absolute = self.absolute(name);
        match self.remap.iter().find(|(from, _)| self.absolute(from) == absolute) {
            Some((_, to)) => self.absolute(to),
            None => absolute,
        }
    }

    fn absolute(&self, name: &str) -> String {
        let space = self.namespace.trim_end_matches('/');
        match (name.strip_prefix('/'), name.strip_prefix("~/")) {
            (Some(_), _) => name.to_string(),
            (None, Some(rest)) => format!("{space}/{}/{rest}", self.node),
            (None, None) => format!("{space}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<RosSettings, RosError> {
        RosSettings::from_variables("visuomotor", |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn an_empty_environment_is_domain_zero_on_the_subnet() {
        let settings = of(&[]).unwrap();
        assert_eq!((settings.domain, settings.range), (0, DiscoveryRange::Subnet));
        assert_eq!(settings.services, ServiceLayout::Enhanced);
    }

    #[test]
    fn variables_are_followed_and_the_narrower_reach_wins() {
        let settings = of(&[("ROS_DOMAIN_ID", "42"), ("ROS_AUTOMATIC_DISCOVERY_RANGE", "localhost")]).unwrap();
        assert_eq!((settings.domain, settings.range), (42, DiscoveryRange::Localhost));
        let both = of(&[("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET"), ("ROS_LOCALHOST_ONLY", "1")]).unwrap();
        assert_eq!(both.range, DiscoveryRange::Localhost);
        let off = of(&[("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF"), ("ROS_LOCALHOST_ONLY", "1")]).unwrap();
        assert_eq!(off.range, DiscoveryRange::Off);
        let cyclone = of(&[("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")]).unwrap();
        assert_eq!(cyclone.services, ServiceLayout::Cyclone);
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_name() {
        for (name, value) in [
            ("ROS_DOMAIN_ID", "233"),
            ("ROS_DOMAIN_ID", "-1"),
            ("ROS_AUTOMATIC_DISCOVERY_RANGE", "PLANET"),
            ("ROS_LOCALHOST_ONLY", "yes"),
            ("ROS_STATIC_PEERS", "10.0.0.3"),
            ("ROS_SECURITY_ENABLE", "true"),
            ("RMW_IMPLEMENTATION", "rmw_zenoh_cpp"),
            ("ROS_DISTRO", "foxy"),
        ] {
            let error = of(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }

    #[test]
    fn names_become_absolute_and_remapped() {
        let map = [("joint_states", "/arm/joint_states"), ("/wx250s/a", "b"), ("~/c", "d")];
        let map = map.into_iter().map(|(from, to)| (from.to_string(), to.to_string())).collect();
        let settings = RosSettings::loopback("node", 3).with_namespace("wx250s/").with_remap(map);
        assert_eq!(settings.namespace, "/wx250s");
        assert_eq!(settings.resolve("joint_states"), "/arm/joint_states");
        assert_eq!(settings.resolve("/wx250s/joint_states"), "/arm/joint_states");
        assert_eq!(settings.resolve("a"), "/wx250s/b");
        assert_eq!(settings.resolve("~/c"), "/wx250s/d");
        assert_eq!(settings.resolve("commands/joint_group"), "/wx250s/commands/joint_group");
        assert_eq!(settings.resolve("/image"), "/image");
        assert_eq!(RosSettings::loopback("node", 3).resolve("a"), "/a");
    }
}
