"""Makes the golden bytes in src/records/recording/messages.rs with mcap-ros2-support 0.6.0: prints one hexadecimal line each."""

from types import SimpleNamespace as NS

from mcap_ros2._dynamic import serialize_dynamic

LINE = "=" * 80 + "\n"
HEADER = LINE + "MSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n"
LAYOUT = (
    LINE + "MSG: std_msgs/MultiArrayLayout\nMultiArrayDimension[] dim\nuint32 data_offset\n"
    + LINE + "MSG: std_msgs/MultiArrayDimension\nstring label\nuint32 size\nuint32 stride\n"
)


def show(what, name, text, message):
    print(what, serialize_dynamic(name, text)[name](message).hex())


def header(frame):
    return NS(stamp=NS(sec=3, nanosec=500000001, nanosecs=500000001, secs=3), frame_id=frame)


JOINTS = "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort\n" + HEADER
joints = NS(header=header(""), name=["waist", "elbow2"], position=[0.5, -1.25], velocity=[], effort=[2.0])
show("joints", "sensor_msgs/msg/JointState", JOINTS, joints)
IMAGE = "std_msgs/Header header\nstring format\nuint8[] data\n" + HEADER
image = NS(header=header("front"), format="jpeg", data=bytes([255, 216, 255]))
show("image", "sensor_msgs/msg/CompressedImage", IMAGE, image)
POSE = (
    "std_msgs/Header header\ngeometry_msgs/Pose pose\n" + HEADER
    + LINE + "MSG: geometry_msgs/Pose\ngeometry_msgs/Point position\ngeometry_msgs/Quaternion orientation\n"
    + LINE + "MSG: geometry_msgs/Point\nfloat64 x\nfloat64 y\nfloat64 z\n"
    + LINE + "MSG: geometry_msgs/Quaternion\nfloat64 x\nfloat64 y\nfloat64 z\nfloat64 w\n"
)
pose = NS(position=NS(x=1.0, y=2.0, z=3.0), orientation=NS(x=0.0, y=0.6, z=0.0, w=0.8))
show("pose", "geometry_msgs/msg/PoseStamped", POSE, NS(header=header("base"), pose=pose))
for kind, values in [("Float64", [0.5, -1.25]), ("Float32", [0.5, -1.25, 8.0])]:
    text = f"std_msgs/MultiArrayLayout layout\n{kind.lower()}[] data\n" + LAYOUT
    layout = NS(dim=[NS(label="xy", size=len(values), stride=len(values))], data_offset=0)
    show(kind, f"std_msgs/msg/{kind}MultiArray", text, NS(layout=layout, data=values))
