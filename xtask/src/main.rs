//! The commands of this repository: `cargo xtask COMMAND`.

#![allow(clippy::print_stdout, reason = "commands talk to people")]

mod clients;
mod deps;
mod import_kinds;
mod seeds;
mod test;
mod tidy;
mod tools;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, runs, tests and checks Gantry
#[derive(Parser, Debug)]
#[command(name = "cargo xtask", max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Install what the host lacks (Debian packages, by apt)
    Deps {
        /// Also what only tests need: more packages, cargo-nextest, and clients in target/tools
        #[arg(long)]
        test: bool,
    },
    /// Build in release mode and start a one-node cluster on this host
    Up {
        /// Passed on to `gantry up`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Stop the cluster and remove everything that it made
    Down {
        /// Passed on to `gantry down`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check format and lints, then run every test
    Test(test::TestArgs),
    /// Check what compilers do not: crate direction, licences, lists, the paths that the documents name
    Tidy,
    /// Measure what the README quotes, on a cluster of its own
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Replay recordings of a real server and count what differs
    Golden {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Find every operation of upstream's description served
    Coverage {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Compare every definition and operation of the served OpenAPI documents with upstream's
    Openapi {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Apply a folder of manifests to the running cluster and compare what reads back
    Seeds {
        /// The folder of the manifests
        #[arg(long, default_value = "../shared/seeds")]
        dir: PathBuf,
        /// Recorded creates, from which the defaults are learned
        #[arg(long, default_value = "../shared/golden/defaults.jsonl")]
        recordings: PathBuf,
    },
    /// Run the simulation over a range of seeds
    Sim {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Turn upstream's API data into the tables of `crates/kinds`
    ImportKinds {
        /// The folder that holds `kubernetes-1.36` and `golden`
        #[arg(long, default_value = "../shared")]
        shared: PathBuf,
    },
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Deps { test: false } => deps::ensure(deps::Need::Run),
        Command::Deps { test: true } => deps::for_tests(),
        Command::Up { args } => up::up(&args),
        Command::Down { args } => up::down(&args),
        Command::Test(args) => test::run_all(&args),
        Command::Tidy => tidy::run(),
        Command::Bench { args } => up::tool("bench", "gantry-bench", &args),
        Command::Golden { args } => up::tool("bench", "gantry-golden", &args),
        Command::Coverage { args } => up::tool("bench", "gantry-coverage", &args),
        Command::Openapi { args } => up::tool("bench", "gantry-openapi", &args),
        Command::Seeds { dir, recordings } => seeds::run(&dir, &recordings),
        Command::Sim { args } => up::tool("sim", "gantry-sim", &args),
        Command::ImportKinds { shared } => import_kinds::run(&shared, &root().join("crates/kinds/tables")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root, wherever the command was called.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the repository")
        .to_owned()
}
