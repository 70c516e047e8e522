//! A terminal with a shell, and what is seen on its screen.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use nix::pty::{Winsize, openpty};
use nix::unistd::ttyname;
use vt100::Parser;

use crate::guard::Guarded;

/// A terminal of the kernel's, with the screen that a person would see.
pub struct Terminal {
    keys: File,
    screen: Arc<Mutex<Parser>>,
    /// Its name, by which its size is changed. It stays open: else the screen ends with the shell.
    name: PathBuf,
    _open: OwnedFd,
    _shell: Guarded,
}

impl Terminal {
    /// Starts a shell on a terminal of this size. `command` sets its folder and its variables.
    ///
    /// # Panics
    ///
    /// If the system gives no terminal.
    #[must_use]
    pub fn start(prepare: impl FnOnce(&mut Command), (columns, rows): (u16, u16)) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("the system has terminals");
        let name = ttyname(&pty.slave).expect("it is a terminal");
        let stdio = || pty.slave.try_clone().expect("descriptors are left");
        // setsid makes the terminal the shell's own, so that there are foreground and background.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", "bash", "--norc", "--noprofile", "-i"]);
        command.env("TERM", "xterm-256color").env("PS1", "shell> ");
        prepare(&mut command);
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let shell = Guarded::spawn(&mut command).expect("there is a bash");
        let screen = Arc::new(Mutex::new(Parser::new(cells(rows), cells(columns), 0)));
        let mut reading = File::from(pty.master.try_clone().expect("descriptors are left"));
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = reading.read(&mut bytes) {
                shown.lock().unwrap_or_else(PoisonError::into_inner).process(&bytes[..read]);
            }
        });
        Self { keys: File::from(pty.master), screen, name, _open: pty.slave, _shell: shell }
    }

    /// Presses keys.
    ///
    /// # Panics
    ///
    /// If the terminal is gone.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal is there");
    }

    /// What is on the screen.
    #[must_use]
    pub fn seen(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().contents()
    }

    /// Whether a program has the screen for itself, so that the shell's is kept for later.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().alternate_screen()
    }

    /// Gives it another size, as dragging a window's corner does.
    ///
    /// # Panics
    ///
    /// If the terminal is gone.
    pub fn resize(&self, (columns, rows): (u16, u16)) {
        self.screen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .screen_mut()
            .set_size(cells(rows), cells(columns));
        let mut stty = Command::new("stty");
        stty.arg("-F").arg(&self.name);
        stty.args(["rows", &rows.to_string(), "cols", &columns.to_string()]);
        assert!(stty.status().expect("there is an stty").success());
    }

    /// The settings of the terminal, as `stty -a` prints them.
    ///
    /// # Panics
    ///
    /// If the terminal is gone.
    #[must_use]
    pub fn settings(&self) -> String {
        let stty = Command::new("stty").arg("-F").arg(&self.name).arg("-a").output();
        String::from_utf8_lossy(&stty.expect("there is an stty").stdout).into_owned()
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a terminal has at least one cell")
}
