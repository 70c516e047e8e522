//! `cargo xtask dist`: what people install, in `target/dist`: a static program in an archive, a Debian
//! package, a Python wheel, an npm package, and the list of what the program is made of. Then each is
//! installed on a root file system or in a folder that has nothing else, and tried.
//!
//! The same commit gives the same bytes: times are the commit's, and paths of this machine are left out.

mod archive;
mod installed;
mod packages;
mod parts;
mod place;
mod program;
mod tools;

use std::fs;

use clap::Args;

use self::place::Dist;
use crate::run::{Failure, Result, output, step};

/// Flags of `cargo xtask dist`.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// The profile to build with; `release` is quicker to build.
    #[arg(long, default_value = "dist")]
    pub(crate) profile: String,
}

/// Makes everything, and tries it.
pub(crate) fn dist(options: &Options) -> Result {
    let dist = Dist::new(&options.profile)?;
    program::build(&dist)?;
    let made = [
        archive::make(&dist)?,
        packages::debian(&dist)?,
        packages::wheel(&dist)?,
        packages::npm(&dist)?,
        parts::list(&dist)?,
    ];
    installed::check(&dist, &made)?;
    let names = made.iter().filter_map(|path| path.file_name());
    let sums = output(dist.command("sha256sum").args(names).current_dir(&dist.out))?;
    fs::write(dist.out.join("SHA256SUMS"), &sums).map_err(Failure::because)?;
    step(format_args!("made and tried, in {}:", dist.out.display()));
    print!("{sums}");
    Ok(())
}
