//! `Requires-Dist` lines of a wheel's METADATA, as far as finding the CUDA libraries of a torch wheel needs them.
//!
//! Torch pins most of NVIDIA's wheels itself and the rest through extras of `cuda-toolkit`, a wheel without content.
//! Reading the two files gives the exact list without asking pip to resolve torch's Python dependencies, which the
//! linked program has no use for.

/// The wheel without content that pins most of CUDA.
pub const TOOLKIT: &str = "cuda-toolkit";

/// One `Requires-Dist` line: `name[extra,extra]==version; marker`.
#[derive(Debug, PartialEq, Eq)]
pub struct Requirement {
    pub name: String,
    pub extras: Vec<String>,
    /// The version clause as written, `==13.1.0.3.*`.
    pub version: String,
    /// The condition after the semicolon, empty if none.
    marker: String,
}

impl Requirement {
    /// As an argument for pip.
    pub fn for_pip(&self) -> String {
        format!("{}{}", self.name, self.version)
    }

    fn parse(line: &str) -> Option<Self> {
        let (what, marker) = line.split_once(';').unwrap_or((line, ""));
        let what = what.trim();
        let name_ends =
            what.find(|letter: char| !letter.is_ascii_alphanumeric() && !"-_.".contains(letter)).unwrap_or(what.len());
        let (name, rest) = what.split_at(name_ends);
        let (extras, version) = match rest.trim().strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", rest),
        };
        Some(Self {
            name: name.to_owned(),
            extras: extras.split(',').map(str::trim).filter(|extra| !extra.is_empty()).map(str::to_owned).collect(),
            version: version.replace(' ', ""),
            marker: marker.trim().replace('\'', "\""),
        })
    }

    /// The extra that this requirement belongs to.
    fn extra(&self) -> Option<&str> {
        let (_, after) = self.marker.split_once("extra == \"")?;
        after.split_once('"').map(|(extra, _)| extra)
    }

    fn is_for_linux(&self) -> bool {
        let names_a_system = self.marker.contains("sys_platform") || self.marker.contains("platform_system");
        !names_a_system || self.marker.to_lowercase().contains("\"linux\"")
    }
}

/// All `Requires-Dist` lines of a METADATA file.
pub fn requirements(metadata: &str) -> Vec<Requirement> {
    metadata
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("Requires-Dist:"))
        .filter_map(Requirement::parse)
        .collect()
}

/// Torch's requirements on NVIDIA's wheels on Linux: wheels with libraries, and the toolkit with its extras.
pub fn of_nvidia(torch: &str) -> (Vec<Requirement>, Option<Requirement>) {
    let (toolkit, libraries): (Vec<_>, Vec<_>) = requirements(torch)
        .into_iter()
        .filter(|one| one.extra().is_none() && one.is_for_linux())
        .filter(|one| one.name == TOOLKIT || one.name.starts_with("nvidia-"))
        .partition(|one| one.name == TOOLKIT);
    (libraries, toolkit.into_iter().next())
}

/// The toolkit's requirements under the given extras on Linux.
pub fn of_toolkit(toolkit: &str, extras: &[String]) -> Vec<Requirement> {
    requirements(toolkit)
        .into_iter()
        .filter(|one| {
            one.is_for_linux() && one.extra().is_some_and(|extra| extras.iter().any(|wanted| wanted == extra))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From torch 2.11.0, cp311, manylinux_2_28_x86_64.
    const TORCH: &str = "\
Metadata-Version: 2.1
Name: torch
Requires-Python: >=3.10
Requires-Dist: filelock
Requires-Dist: sympy>=1.13.3
Requires-Dist: cuda-toolkit[cublas,cudart,cufft,cufile,cupti,curand,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.0.2; platform_system == \"Linux\"
Requires-Dist: cuda-bindings<14,>=13.0.3; platform_system == \"Linux\"
Requires-Dist: nvidia-cudnn-cu13==9.19.0.56; platform_system == \"Linux\"
Requires-Dist: nvidia-cusparselt-cu13==0.8.0; platform_system == \"Linux\"
Requires-Dist: nvidia-nccl-cu13==2.28.9; platform_system == \"Linux\"
Requires-Dist: nvidia-nvshmem-cu13==3.4.5; platform_system == \"Linux\"
Requires-Dist: triton==3.6.0; platform_system == \"Linux\"
Requires-Dist: optree>=0.13.0; extra == \"optree\"

Requires-Dist: nvidia-in-the-description==1
";

    /// From cuda-toolkit 13.0.2.
    const CUDA_TOOLKIT: &str = "\
Name: cuda-toolkit
Requires-Dist: nvidia-cublas==13.1.0.3.*; (sys_platform == 'linux' or sys_platform == 'win32') and extra == 'all'
Requires-Dist: nvidia-cublas==13.1.0.3.*; (sys_platform == 'linux' or sys_platform == 'win32') and extra == 'cublas'
Requires-Dist: nvidia-cufile==1.15.1.6.*; (sys_platform == 'linux') and extra == 'cufile'
Requires-Dist: nvidia-nvjpeg==13.0.1.86.*; (sys_platform == 'linux' or sys_platform == 'win32') and extra == 'nvjpeg'
Requires-Dist: nvidia-windows-only==1.0; (sys_platform == 'win32') and extra == 'cublas'
";

    #[test]
    fn finds_what_torch_asks_of_nvidia() {
        let (libraries, toolkit) = of_nvidia(TORCH);
        let names: Vec<_> = libraries.iter().map(Requirement::for_pip).collect();
        assert_eq!(
            names,
            [
                "nvidia-cudnn-cu13==9.19.0.56",
                "nvidia-cusparselt-cu13==0.8.0",
                "nvidia-nccl-cu13==2.28.9",
                "nvidia-nvshmem-cu13==3.4.5"
            ]
        );
        let toolkit = toolkit.unwrap();
        assert_eq!(toolkit.for_pip(), "cuda-toolkit==13.0.2");
        assert_eq!(toolkit.extras.len(), 11);
        assert_eq!(toolkit.extras[0], "cublas");
    }

    #[test]
    fn the_toolkit_gives_only_the_extras_asked_for() {
        let extras = ["cublas".to_owned(), "cufile".to_owned()];
        let names: Vec<_> = of_toolkit(CUDA_TOOLKIT, &extras).iter().map(Requirement::for_pip).collect();
        assert_eq!(names, ["nvidia-cublas==13.1.0.3.*", "nvidia-cufile==1.15.1.6.*"]);
    }

    #[test]
    fn a_torch_without_cuda_asks_nothing() {
        assert_eq!(of_nvidia("Name: torch\nRequires-Dist: filelock\n"), (Vec::new(), None));
    }

    #[test]
    fn reads_a_line_with_spaces_and_parentheses() {
        let one = Requirement::parse(" typing-extensions >= 4.10 ").unwrap();
        assert_eq!(one.for_pip(), "typing-extensions>=4.10");
        assert_eq!(one.extra(), None);
    }
}
