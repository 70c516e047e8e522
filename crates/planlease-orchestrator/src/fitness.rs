//! Whether a command could start on this host: its folder and its program are there.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _, path::Path};

use nix::unistd::{AccessFlags, access};

use crate::command::CommandSpec;

/// Checks that commands can be run in this folder.
///
/// # Errors
/// Why not, as a sentence.
pub(crate) fn check_folder(folder: &Path) -> Result<(), String> {
    let cannot = |why: &str| Err(format!("commands cannot run in `{}`: {why}", folder.display()));
    match fs::metadata(folder) {
        Ok(found) if !found.is_dir() => cannot("it is not a folder"),
        Ok(_) => access(folder, AccessFlags::X_OK).or_else(|error| cannot(error.desc())),
        Err(error) => cannot(&error.to_string()),
    }
}

/// Checks that the program is there and can be executed, in the way in which the system will look for it: a
/// name without a slash in the folders of `search_path`, anything else from the working directory of the
/// command.
///
/// # Errors
/// Why not, as a sentence.
pub(crate) fn check_program(command: &CommandSpec, search_path: &OsStr) -> Result<(), String> {
    let name = Path::new(&command.program);
    let shown = name.display();
    let from_dir = |path: &Path| command.dir.as_deref().unwrap_or(Path::new("")).join(path);
    if command.program.as_encoded_bytes().contains(&b'/') {
        return match executable(&from_dir(name)) {
            Ok(()) => Ok(()),
            Err(why) => Err(format!("cannot run `{shown}`: {why}")),
        };
    }
    let mut refused = None;
    for folder in search_path.as_bytes().split(|byte| *byte == b':') {
        let path = from_dir(Path::new(OsStr::from_bytes(folder))).join(name);
        match executable(&path) {
            Ok(()) => return Ok(()),
            Err(why) if path.exists() => refused = Some(why),
            Err(_) => {}
        }
    }
    let why = refused.unwrap_or_else(|| "there is no such program in the folders of PATH".to_owned());
    Err(format!("cannot run `{shown}`: {why}"))
}

fn executable(path: &Path) -> Result<(), String> {
    let found = fs::metadata(path).map_err(|error| error.to_string())?;
    if found.is_dir() {
        return Err("it is a folder".to_owned());
    }
    access(path, AccessFlags::X_OK).map_err(|error| format!("it cannot be executed ({})", error.desc()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_program_is_found_where_the_system_would_look() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str, mode| {
            let path = folder.path().join(name);
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        place("tool", 0o755);
        place("text", 0o644);
        let check = |program: &str, dir: Option<&Path>, path: &str| {
            let command = CommandSpec { dir: dir.map(Path::to_owned), ..CommandSpec::new(program) };
            check_program(&command, OsStr::new(path))
        };
        let here = folder.path().to_str().unwrap();
        assert_eq!(check("tool", None, &format!("/nowhere:{here}")), Ok(()));
        assert_eq!(check("./tool", Some(folder.path()), ""), Ok(()), "from the command's folder");
        assert_eq!(check("tool", Some(folder.path()), "."), Ok(()), "PATH may be relative, too");
        let missing = check("tool", None, "/nowhere").unwrap_err();
        assert!(missing.contains("no such program"), "{missing}");
        let text = check("text", None, here);
        if nix::unistd::getuid().is_root() {
            // Root may execute a file only if some user may.
            assert!(text.unwrap_err().contains("cannot be executed"));
        }
        assert!(check(here, None, "").unwrap_err().contains("it is a folder"));
        assert!(check("./nothing", Some(folder.path()), "").unwrap_err().contains("No such file"));
        assert_eq!(check_folder(folder.path()), Ok(()));
        assert!(check_folder(&folder.path().join("tool")).unwrap_err().contains("not a folder"));
        assert!(check_folder(&folder.path().join("none")).unwrap_err().contains("No such file"));
    }
}
