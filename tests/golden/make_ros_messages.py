"""Writes tests/golden/ros_messages.json: for every ROS 2 message type of ours one instance as JSON and as CDR bytes.

The bytes come from `rosbags` (pure Python, shares no code with us or with DDS). Standard types are the ones it ships
for the distribution; the manufacturers' types are declared below by their fields. Every field gets a different value, so that a
swapped or missing field shows. Numbers are multiples of 1/8 and exact in JSON and in float32.

    python3 -m venv target/rosbags && target/rosbags/bin/pip install rosbags==0.11.9
    target/rosbags/bin/python tests/golden/make_ros_messages.py
"""

import json
from pathlib import Path

import numpy
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

STANDARD = """
builtin_interfaces/Time builtin_interfaces/Duration
std_msgs/Header std_msgs/Empty std_msgs/Bool std_msgs/String std_msgs/Int8 std_msgs/Int32 std_msgs/Float32
std_msgs/Float64 std_msgs/MultiArrayDimension std_msgs/MultiArrayLayout std_msgs/Float64MultiArray
geometry_msgs/Vector3 geometry_msgs/Point geometry_msgs/Quaternion geometry_msgs/Pose geometry_msgs/Transform
geometry_msgs/Twist geometry_msgs/Accel geometry_msgs/Wrench geometry_msgs/Inertia geometry_msgs/PoseStamped
geometry_msgs/TwistStamped geometry_msgs/AccelStamped geometry_msgs/WrenchStamped geometry_msgs/InertiaStamped
geometry_msgs/TransformStamped
sensor_msgs/JointState sensor_msgs/Image sensor_msgs/CompressedImage sensor_msgs/RegionOfInterest
sensor_msgs/CameraInfo sensor_msgs/Joy
trajectory_msgs/JointTrajectoryPoint trajectory_msgs/JointTrajectory trajectory_msgs/MultiDOFJointTrajectoryPoint
trajectory_msgs/MultiDOFJointTrajectory
action_msgs/GoalInfo action_msgs/GoalStatus action_msgs/GoalStatusArray unique_identifier_msgs/UUID
""".split()

SEVEN = "; ".join(f"float32 joint{i}" for i in range(1, 8))
TWIST6 = "; ".join(f"float32 twist_{kind}_{axis}" for kind in ("linear", "angular") for axis in "xyz")
POSE6 = "float32 x; float32 y; float32 z; float32 theta_x; float32 theta_y; float32 theta_z"
FRANKA_ERRORS = """joint_position_limits_violation cartesian_position_limits_violation
self_collision_avoidance_violation joint_velocity_violation cartesian_velocity_violation force_control_safety_violation
joint_reflex cartesian_reflex max_goal_pose_deviation_violation max_path_pose_deviation_violation
cartesian_velocity_profile_safety_violation joint_position_motion_generator_start_pose_invalid
joint_motion_generator_position_limits_violation joint_motion_generator_velocity_limits_violation
joint_motion_generator_velocity_discontinuity joint_motion_generator_acceleration_discontinuity
cartesian_position_motion_generator_start_pose_invalid cartesian_motion_generator_elbow_limit_violation
cartesian_motion_generator_velocity_limits_violation cartesian_motion_generator_velocity_discontinuity
cartesian_motion_generator_acceleration_discontinuity cartesian_motion_generator_elbow_sign_inconsistent
cartesian_motion_generator_start_elbow_invalid cartesian_motion_generator_joint_position_limits_violation
cartesian_motion_generator_joint_velocity_limits_violation cartesian_motion_generator_joint_velocity_discontinuity
cartesian_motion_generator_joint_acceleration_discontinuity cartesian_position_motion_generator_invalid_frame
force_controller_desired_force_tolerance_violation controller_torque_discontinuity start_elbow_sign_inconsistent
communication_constraints_violation power_limit_violation joint_p2p_insufficient_torque_for_planning
tau_j_range_violation instability_detected""".split()
GROUP = "string cmd_type; string name"
OUTCOME = "bool success; string error"
IO = "intera_core_msgs/IO"
POINT = "trajectory_msgs/JointTrajectoryPoint"
MULTI = "trajectory_msgs/MultiDOFJointTrajectoryPoint"
STATE_START = "std_msgs/Header header; string[] joint_names; " + "; ".join(
    f"{POINT} {name}" for name in ("reference", "feedback", "error", "output")
)

# name: fields, separated by `;`
MAKERS = {
    "std_srvs/Trigger_Response": "bool success; string message",
    "std_srvs/SetBool_Request": "bool data",
    "action_msgs/CancelGoal_Request": "action_msgs/GoalInfo goal_info",
    "action_msgs/CancelGoal_Response": "int8 return_code; action_msgs/GoalInfo[] goals_canceling",
    # interbotix_xs_msgs (humble)
    "interbotix_xs_msgs/JointGroupCommand": "string name; float32[] cmd",
    "interbotix_xs_msgs/JointSingleCommand": "string name; float32 cmd",
    "interbotix_xs_msgs/JointTrajectoryCommand": f"{GROUP}; trajectory_msgs/JointTrajectory traj",
    "interbotix_xs_msgs/JointTemps": "string[] names; int32[] temps",
    "interbotix_xs_msgs/ArmJoy": "; ".join(
        f"int8 {name}_cmd"
        for name in "ee_x ee_y ee_z ee_roll ee_pitch waist gripper pose speed speed_toggle gripper_pwm torque".split()
    ),
    "interbotix_xs_msgs/TorqueEnable_Request": f"{GROUP}; bool enable",
    "interbotix_xs_msgs/Reboot_Request": f"{GROUP}; bool enable; bool smart_reboot",
    "interbotix_xs_msgs/OperatingModes_Request": (
        f"{GROUP}; string mode; string profile_type; int32 profile_velocity; int32 profile_acceleration"
    ),
    "interbotix_xs_msgs/MotorGains_Request": (
        f"{GROUP}; " + "; ".join(f"int32 {gain}" for gain in "kp_pos ki_pos kd_pos k1 k2 kp_vel ki_vel".split())
    ),
    "interbotix_xs_msgs/RegisterValues_Request": f"{GROUP}; string reg; int32 value",
    "interbotix_xs_msgs/RegisterValues_Response": "int32[] values",
    "interbotix_xs_msgs/RobotInfo_Request": GROUP,
    "interbotix_xs_msgs/RobotInfo_Response": (
        "string mode; string profile_type; string[] joint_names; int16[] joint_ids; float32[] joint_lower_limits; "
        "float32[] joint_upper_limits; float32[] joint_velocity_limits; float32[] joint_sleep_positions; "
        "int16[] joint_state_indices; int16 num_joints; string[] name"
    ),
    # intera_core_msgs (5.x)
    "intera_core_msgs/JointCommand": (
        "std_msgs/Header header; int32 mode; string[] names; float64[] position; float64[] velocity; "
        "float64[] acceleration; float64[] effort"
    ),
    "intera_core_msgs/EndpointState": (
        "std_msgs/Header header; geometry_msgs/Pose pose; geometry_msgs/Twist twist; geometry_msgs/Wrench wrench; bool valid"
    ),
    "intera_core_msgs/EndpointStates": (
        "std_msgs/Header header; string[] names; intera_core_msgs/EndpointState[] states"
    ),
    "intera_core_msgs/RobotAssemblyState": (
        "bool homed; bool ready; bool enabled; bool stopped; bool error; bool lowVoltage; uint8 estop_button; "
        "uint8 estop_source"
    ),
    "intera_core_msgs/JointLimits": (
        "string[] joint_names; float64[] position_lower; float64[] position_upper; float64[] velocity; "
        "float64[] accel; float64[] effort"
    ),
    "intera_core_msgs/SEAJointState": "std_msgs/Header header; string[] name; "
    + "; ".join(
        f"float64[] {name}"
        for name in (
            "commanded_position commanded_velocity commanded_acceleration commanded_effort actual_position "
            "actual_velocity actual_effort gravity_model_effort gravity_only interaction_torque "
            "hysteresis_model_effort crosstalk_model_effort"
        ).split()
    )
    + "; float64 hystState",
    "intera_core_msgs/CollisionDetectionState": "std_msgs/Header header; bool collision_state",
    "intera_core_msgs/CollisionAvoidanceState": "std_msgs/Header header; bool other_arm; string[] collision_object",
    f"{IO}ComponentCommand": "builtin_interfaces/Time time; string op; string args",
    f"{IO}ComponentConfiguration": "string name; string config",
    f"{IO}Status": "string tag; string id; string detail",
    f"{IO}ComponentStatus": f"string name; {IO}Status status",
    f"{IO}DataStatus": f"string name; string format; string data; {IO}Status status",
    f"{IO}DeviceConfiguration": (
        f"builtin_interfaces/Time time; string commanded; string upgraded; {IO}ComponentConfiguration device; "
        f"{IO}ComponentConfiguration[] ports; {IO}ComponentConfiguration[] signals"
    ),
    f"{IO}DeviceStatus": (
        f"builtin_interfaces/Time time; {IO}ComponentStatus device; {IO}DataStatus[] ports; {IO}DataStatus[] signals; "
        "builtin_interfaces/Time[] commands; string[] responses"
    ),
    f"{IO}NodeConfiguration": (
        f"builtin_interfaces/Time time; {IO}ComponentConfiguration node; {IO}ComponentConfiguration[] devices; "
        f"{IO}ComponentConfiguration[] plugins"
    ),
    f"{IO}NodeStatus": (
        f"builtin_interfaces/Time time; {IO}ComponentStatus node; {IO}ComponentStatus[] devices; "
        "builtin_interfaces/Time[] commands"
    ),
    "intera_core_msgs/SolvePositionIK_Request": (
        "geometry_msgs/PoseStamped[] pose_stamp; sensor_msgs/JointState[] seed_angles; int8 seed_mode; "
        "bool[] use_nullspace_goal; sensor_msgs/JointState[] nullspace_goal; float64[] nullspace_gain; string[] tip_names"
    ),
    "intera_core_msgs/SolvePositionIK_Response": "sensor_msgs/JointState[] joints; int8[] result_type",
    "intera_core_msgs/SolvePositionFK_Request": "sensor_msgs/JointState[] configuration; string[] tip_names",
    "intera_core_msgs/SolvePositionFK_Response": (
        "geometry_msgs/PoseStamped[] pose_stamp; bool[] isValid; bool[] inCollision"
    ),
    # kinova_msgs
    "kinova_msgs/JointAngles": SEVEN,
    "kinova_msgs/JointVelocity": SEVEN,
    "kinova_msgs/JointTorque": SEVEN,
    "kinova_msgs/PoseVelocity": TWIST6,
    "kinova_msgs/PoseVelocityWithFingers": f"{TWIST6}; float32 fingers_closure_percentage",
    "kinova_msgs/PoseVelocityWithFingerVelocity": f"{TWIST6}; float32 finger1; float32 finger2; float32 finger3",
    "kinova_msgs/KinovaPose": POSE6,
    "kinova_msgs/CartesianForce": "; ".join(f"float32 {k}_{a}" for k in ("force", "torque") for a in "xyz"),
    "kinova_msgs/FingerPosition": "float32 finger1; float32 finger2; float32 finger3",
    "kinova_msgs/ZeroTorques_Response": "string result",
    "kinova_msgs/Start_Response": "string start_result",
    "kinova_msgs/Stop_Response": "string stop_result",
    "kinova_msgs/HomeArm_Response": "string homearm_result",
    "kinova_msgs/SetTorqueControlMode_Request": "uint16 state",
    "kinova_msgs/AddPoseToCartesianTrajectory_Request": POSE6,
    "kinova_msgs/SetEndEffectorOffset_Request": "uint16 status; geometry_msgs/Vector3 offset",
    "kinova_msgs/SetForceControlParams_Request": "; ".join(
        f"geometry_msgs/Vector3 {what}_{kind}"
        for what in ("inertia", "damping", "force_min", "force_max")
        for kind in ("linear", "angular")
    ),
    "kinova_msgs/ArmJointAngles_Goal": "kinova_msgs/JointAngles angles",
    "kinova_msgs/ArmPose_Goal": "geometry_msgs/PoseStamped pose",
    "kinova_msgs/SetFingersPosition_Goal": "kinova_msgs/FingerPosition fingers",
    # franka_msgs (2.x)
    "franka_msgs/CollisionIndicators": "; ".join(
        f"geometry_msgs/Vector3 is_cartesian_{k}_{w}" for w in ("collision", "contact") for k in ("linear", "angular")
    )
    + "; float64[7] is_joint_collision; float64[7] is_joint_contact",
    "franka_msgs/Elbow": (
        "float64[2] position; float64[2] desired_position; float64[2] commanded_position; "
        "float64[2] commanded_velocity; float64[2] commanded_acceleration"
    ),
    "franka_msgs/Errors": "; ".join(f"bool {name}" for name in FRANKA_ERRORS),
    "franka_msgs/GraspEpsilon": "float64 inner; float64 outer",
    "franka_msgs/FrankaRobotState": (
        "std_msgs/Header header; franka_msgs/CollisionIndicators collision_indicators; "
        "sensor_msgs/JointState measured_joint_state; sensor_msgs/JointState desired_joint_state; "
        "sensor_msgs/JointState measured_joint_motor_state; float64[7] ddq_d; float64[7] dtau_j; "
        "sensor_msgs/JointState tau_ext_hat_filtered; franka_msgs/Elbow elbow; "
        "geometry_msgs/WrenchStamped k_f_ext_hat_k; geometry_msgs/WrenchStamped o_f_ext_hat_k; "
        "geometry_msgs/InertiaStamped inertia_ee; geometry_msgs/InertiaStamped inertia_load; "
        "geometry_msgs/InertiaStamped inertia_total; geometry_msgs/PoseStamped o_t_ee; "
        "geometry_msgs/PoseStamped o_t_ee_d; geometry_msgs/PoseStamped o_t_ee_c; geometry_msgs/PoseStamped f_t_ee; "
        "geometry_msgs/PoseStamped ee_t_k; geometry_msgs/TwistStamped o_dp_ee_d; geometry_msgs/TwistStamped o_dp_ee_c; "
        "geometry_msgs/AccelStamped o_ddp_ee_c; float64 time; float64 control_command_success_rate; uint8 robot_mode; "
        "franka_msgs/Errors current_errors; franka_msgs/Errors last_motion_errors"
    ),
    "franka_msgs/Grasp_Goal": "float64 width; franka_msgs/GraspEpsilon epsilon; float64 speed; float64 force",
    "franka_msgs/Move_Goal": "float64 width; float64 speed",
    "franka_msgs/Grasp_Result": OUTCOME,
    "franka_msgs/Grasp_Feedback": "float64 current_width",
    "franka_msgs/Move_SendGoal_Request": "unique_identifier_msgs/UUID goal_id; franka_msgs/Move_Goal goal",
    "franka_msgs/Move_SendGoal_Response": "bool accepted; builtin_interfaces/Time stamp",
    "franka_msgs/Move_GetResult_Request": "unique_identifier_msgs/UUID goal_id",
    "franka_msgs/Move_GetResult_Response": "int8 status; franka_msgs/Grasp_Result result",
    "franka_msgs/Move_FeedbackMessage": "unique_identifier_msgs/UUID goal_id; franka_msgs/Grasp_Feedback feedback",
    "franka_msgs/ErrorRecovery_SendGoal_Request": "unique_identifier_msgs/UUID goal_id; std_msgs/Empty goal",
    "franka_msgs/SetJointStiffness_Request": "float64[7] joint_stiffness",
    "franka_msgs/SetJointStiffness_Response": OUTCOME,
    "franka_msgs/SetCartesianStiffness_Request": "float64[6] cartesian_stiffness",
    "franka_msgs/SetLoad_Request": "float64 mass; float64[3] center_of_mass; float64[9] load_inertia",
    "franka_msgs/SetTCPFrame_Request": "float64[16] transformation",
    "franka_msgs/SetForceTorqueCollisionBehavior_Request": "; ".join(
        f"float64[{n}] {bound}_{what}_thresholds_nominal"
        for what, n in (("torque", 7), ("force", 6))
        for bound in ("lower", "upper")
    ),
    "franka_msgs/SetFullCollisionBehavior_Request": "; ".join(
        f"float64[{n}] {bound}_{what}_thresholds_{phase}"
        for what, n in (("torque", 7), ("force", 6))
        for phase in ("acceleration", "nominal")
        for bound in ("lower", "upper")
    ),
    # control_msgs
    "control_msgs/GripperCommand": "float64 position; float64 max_effort",
    "control_msgs/JointJog": (
        "std_msgs/Header header; string[] joint_names; float64[] displacements; float64[] velocities; float64 duration"
    ),
    "control_msgs/JointTolerance": "string name; float64 position; float64 velocity; float64 acceleration",
    "control_msgs/JointComponentTolerance": (
        "string joint_name; uint16 component; float64 position; float64 velocity; float64 acceleration"
    ),
    "control_msgs/GripperCommand_Goal": "control_msgs/GripperCommand command",
    "control_msgs/GripperCommand_Result": "float64 position; float64 effort; bool stalled; bool reached_goal",
    "control_msgs/ParallelGripperCommand_Goal": "sensor_msgs/JointState command",
    "control_msgs/ParallelGripperCommand_Result": "sensor_msgs/JointState state; bool stalled; bool reached_goal",
    "control_msgs/ParallelGripperCommand_Feedback": "sensor_msgs/JointState state",
    "control_msgs/FollowJointTrajectory_Goal": (
        "trajectory_msgs/JointTrajectory trajectory; trajectory_msgs/MultiDOFJointTrajectory multi_dof_trajectory; "
        "control_msgs/JointTolerance[] path_tolerance; control_msgs/JointComponentTolerance[] component_path_tolerance; "
        "control_msgs/JointTolerance[] goal_tolerance; control_msgs/JointComponentTolerance[] component_goal_tolerance; "
        "builtin_interfaces/Duration goal_time_tolerance"
    ),
    "control_msgs/FollowJointTrajectory_Result": "int32 error_code; string error_string",
    "control_msgs/FollowJointTrajectory_Feedback": (
        f"std_msgs/Header header; string[] joint_names; {POINT} desired; {POINT} actual; {POINT} error; int32 index; "
        f"string[] multi_dof_joint_names; {MULTI} multi_dof_desired; {MULTI} multi_dof_actual; {MULTI} multi_dof_error; "
        "int32 multi_dof_index"
    ),
    "controller_manager_msgs/ChainConnection": "string name; string[] reference_interfaces",
}

MULTI_STATE = "string[] multi_dof_joint_names; " + "; ".join(
    f"{MULTI} multi_dof_{name}" for name in ("reference", "feedback", "error", "output")
)
CONTROLLER_HEAD = "string name; string state; string type; "
CONTROLLER_LISTS = (
    "string[] claimed_interfaces; string[] required_command_interfaces; string[] required_state_interfaces; "
    "bool is_chainable; bool is_chained; "
)
CONTROLLER_TAIL = (
    "string[] reference_interfaces; controller_manager_msgs/ChainConnection[] chain_connections"
)
# Types that changed between distributions.
DISTRIBUTIONS = {
    "jazzy": {
        "control_msgs/JointTrajectoryControllerState": f"{STATE_START}; {MULTI_STATE}; float64 speed_scaling_factor",
        "controller_manager_msgs/ControllerState": (
            f"{CONTROLLER_HEAD}bool is_async; uint16 update_rate; {CONTROLLER_LISTS}string[] exported_state_interfaces; "
            + CONTROLLER_TAIL
        ),
        "controller_manager_msgs/ListControllers_Response": "controller_manager_msgs/ControllerState[] controller",
        "controller_manager_msgs/SwitchController_Request": (
            "string[] activate_controllers; string[] deactivate_controllers; int32 strictness; bool activate_asap; "
            "builtin_interfaces/Duration timeout"
        ),
        "controller_manager_msgs/SwitchController_Response": "bool ok; string message",
    },
    "humble": {
        "control_msgs/JointTrajectoryControllerState": (
            f"{STATE_START}; {POINT} desired; {POINT} actual; {MULTI_STATE}; "
            f"{MULTI} multi_dof_desired; {MULTI} multi_dof_actual"
        ),
        "controller_manager_msgs/ControllerState": CONTROLLER_HEAD + CONTROLLER_LISTS + CONTROLLER_TAIL,
        "controller_manager_msgs/ListControllers_Response": "controller_manager_msgs/ControllerState[] controller",
        "controller_manager_msgs/SwitchController_Request": (
            "string[] activate_controllers; string[] deactivate_controllers; string[] start_controllers; "
            "string[] stop_controllers; int32 strictness; bool start_asap; bool activate_asap; "
            "builtin_interfaces/Duration timeout"
        ),
        "controller_manager_msgs/SwitchController_Response": "bool ok",
    },
}
STORES = {"jazzy": Stores.ROS2_JAZZY, "humble": Stores.ROS2_HUMBLE}


def full(name):
    """`pkg/Name` as rosbags calls it."""
    package, kind = name.split("/")
    return f"{package}/msg/{kind}"


def definition(fields):
    """A .msg text from `type name; type name`."""
    return "\n".join(field.strip() for field in fields.split(";"))


class Filler:
    """Makes instances in which every number and text is different."""

    def __init__(self, store):
        self.store, self.count = store, 0

    def next(self):
        self.count += 1
        return self.count

    def scalar(self, kind):
        n = self.next()
        if kind == "bool":
            return n % 2 == 1
        if kind.startswith("float"):
            return (-1) ** n * (n + 0.125 * (n % 8))
        if kind == "string":
            # Lengths 0 .. 6: every alignment, and the empty text.
            return "räum 日本"[: n % 7]
        signed = not kind.startswith("u")
        bits = int(kind.removeprefix("u").removeprefix("int"))
        top = min(2 ** (bits - 1) - 1, 2**52)
        n *= max(1, top // 1000)
        return -(n % top) - 1 if signed and n % 3 == 0 else n % top

    def value(self, node):
        kind, detail = node
        if kind == Nodetype.BASE:
            return self.scalar(detail[0])
        if kind == Nodetype.NAME:
            return self.message(detail)
        (inner, length) = detail
        if kind == Nodetype.SEQUENCE:
            length = 1 + self.next() % 3
        return [self.value(inner) for _ in range(length)]

    def message(self, name):
        _, fields = self.store.fielddefs[name]
        return {field: self.value(node) for field, node in fields}


def instance(store, name, value):
    """The dictionary as an object that rosbags serializes."""

    def build(node, part):
        kind, detail = node
        if kind == Nodetype.BASE:
            return part
        if kind == Nodetype.NAME:
            return instance(store, detail, part)
        inner, _ = detail
        if inner[0] == Nodetype.BASE and inner[1][0] != "string":
            return numpy.array(part, dtype=inner[1][0])
        return [build(inner, each) for each in part]

    _, fields = store.fielddefs[name]
    return store.types[name](**{field: build(node, value[field]) for field, node in fields})


def main():
    answer = {}
    for distribution, changed in DISTRIBUTIONS.items():
        store = get_typestore(STORES[distribution])
        makers = {**MAKERS, **changed}
        types = {}
        for name, fields in makers.items():
            types.update(get_types_from_msg(definition(fields), full(name)))
        store.register(types)
        names = STANDARD + list(makers) if distribution == "jazzy" else list(changed)
        cases = {}
        for name in names:
            value = Filler(store).message(full(name))
            data = bytes(store.serialize_cdr(instance(store, full(name), value), full(name), little_endian=True))
            # Four bytes say "CDR, little endian"; the rest is the message.
            assert data[:4] == b"\x00\x01\x00\x00", data[:4]
            cases[name] = {"value": value, "cdr": data[4:].hex()}
        answer[distribution] = cases
    path = Path(__file__).with_name("ros_messages.json")
    lines = []
    for distribution, cases in answer.items():
        inner = ",\n".join(f"  {json.dumps(name)}: {json.dumps(case, ensure_ascii=False)}" for name, case in cases.items())
        lines.append(f"{json.dumps(distribution)}: {{\n{inner}\n}}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{path}: " + ", ".join(f"{name} {len(cases)}" for name, cases in answer.items()))


main()
