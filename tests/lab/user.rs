//! Who runs the program under test: this user, and when that is root, an ordinary one too.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The user and group `nobody`: on every system, and never special.
const NOBODY: u32 = 65_534;

/// A user with a folder of its own and a copy of the program that it may read.
pub(crate) struct User {
    ordinary: bool,
    folder: TempDir,
}

impl User {
    /// Every user that this process can run the program as.
    pub(crate) fn all() -> Vec<Self> {
        let mut users = vec![Self::new(false)];
        if nix::unistd::Uid::effective().is_root() {
            users.push(Self::new(true));
        }
        users
    }

    fn new(ordinary: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("lh").tempdir().unwrap();
        // Readable by all, so that a test may run the program in yet another way.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_longhaul"), folder.path().join("longhaul")).unwrap();
        std::os::unix::fs::chown(folder.path(), ordinary.then_some(NOBODY), ordinary.then_some(NOBODY)).unwrap();
        Self { ordinary, folder }
    }

    /// For messages.
    pub(crate) fn name(&self) -> &'static str {
        if self.ordinary { "an ordinary user" } else { "the user of the tests" }
    }

    /// The folder that the program runs in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program with arguments, ready to start.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.folder().join("longhaul"));
        command.args(arguments).current_dir(self.folder()).env_remove("XDG_RUNTIME_DIR").env("HOME", self.folder());
        // Labs of tests that run at the same time must not see each other.
        command.env("LONGHAUL_RUNTIME_DIR", self.folder().join("run"));
        if self.ordinary {
            // The folders of the user of the tests may be closed to this one, which would change error messages.
            command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Another tool, run as this user.
    pub(crate) fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        if self.ordinary {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program, which must succeed; returns what it printed.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "as {}: longhaul {arguments:?}: {}", self.name(), describe(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the program, which must end with `code`; returns what it wrote to standard error.
    pub(crate) fn fail(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "as {}: longhaul {arguments:?}: {}",
            self.name(),
            describe(&output)
        );
        String::from_utf8(output.stderr).unwrap()
    }
}

/// Everything about how a program ended, for an assertion's message.
pub(crate) fn describe(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n--- stdout\n{}\n--- stderr\n{}", output.status, text(&output.stdout), text(&output.stderr))
}
