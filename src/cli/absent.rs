//! Commands that need a feature which this build has not: they say how to build it in.

#[allow(unused_macros, reason = "a build with every feature has every command")]
/// A module with the arguments and the function of a command, in place of the real one.
macro_rules! absent {
    ($command:ident, $arguments:ident, $features:literal) => {
        mod $command {
            /// Whatever is given: nothing is read of it.
            #[derive(clap::Args, Debug)]
            #[command(after_help = concat!("Not in this build, which lacks one of the features ", $features, "."))]
            pub struct $arguments {
                /// Arguments of the command
                #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
                words: Vec<std::ffi::OsString>,
            }

            /// Refuses.
            pub fn $command(arguments: &$arguments) -> anyhow::Result<u8> {
                let _ = &arguments.words;
                anyhow::bail!(
                    "`visuomotor {}` is not in this build: build one with `cargo build --release --features {}`",
                    stringify!($command),
                    $features
                )
            }
        }
    };
}

#[cfg(all(test, not(feature = "torch")))]
mod tests {
    use clap::Parser;

    use super::super::{Arguments, Command, train};

    #[test]
    fn a_command_that_is_not_in_the_build_says_how_to_build_it_in() {
        let arguments = Arguments::parse_from(["visuomotor", "train", "vip", "--data", "clips"]);
        let Command::Train(arguments) = arguments.command else { panic!("another command") };
        let refusal = train::train(&arguments).unwrap_err().to_string();
        assert!(refusal.contains("`visuomotor train`") && refusal.contains("--features torch"), "{refusal}");
    }
}
