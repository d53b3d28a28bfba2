//! Surroundings that a parent process, a script or another user prepares.
#![allow(unsafe_code)] // `pre_exec` runs between fork and exec.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;

use super::host::{eventually, processes_of};
use super::user::User;

const MATRIX: &str = "0,20,40\n10,0,30\n50,60,0\n";

/// Many servers ignore `SIGCHLD` and hand that down; then nobody can wait for a child.
#[test]
fn a_parent_that_ignores_its_children_is_no_obstacle() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        for arguments in
            [&["lab", "up", "net.csv", "--detach"][..], &["lab", "exec", "n1", "--", "true"], &["lab", "down"]]
        {
            let mut command = user.command(arguments);
            // SAFETY: ignoring a signal is allowed between fork and exec.
            unsafe { command.pre_exec(|| Ok(signal(Signal::SIGCHLD, SigHandler::SigIgn).map(|_| ())?)) };
            let status = command.stdout(Stdio::null()).status().unwrap();
            assert!(status.success(), "as {}: {arguments:?}: {status}", user.name());
        }
        eventually("no process", || processes_of(user.folder()).is_empty());
    }
}

/// A script's pipe ends when the script's own processes have closed it, whatever it left running.
#[test]
fn a_detached_lab_keeps_no_file_of_its_starter_open() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        let (mut read, write) = std::io::pipe().unwrap();
        let number = write.as_raw_fd();
        let mut command = user.command(&["lab", "up", "net.csv", "--detach"]);
        // SAFETY: `dup` makes system calls only, which is allowed between fork and exec.
        unsafe {
            command.pre_exec(move || {
                // A duplicate, unlike the original, is not closed by exec.
                if libc::dup(number) < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
            });
        }
        assert!(command.stdout(Stdio::null()).status().unwrap().success());
        drop((command, write));
        read.read_to_end(&mut Vec::new()).unwrap();
        user.succeed(&["lab", "down"]);
    }
}

/// At a log-out the runtime directory is cleared; a lab that nobody can reach any more must not stay.
#[test]
fn a_lab_ends_when_its_folder_is_taken_away() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        user.succeed(&["lab", "up", "net.csv", "--detach"]);
        std::fs::remove_dir_all(user.folder().join("run")).unwrap();
        eventually("no process", || processes_of(user.folder()).is_empty());
    }
}

#[test]
fn a_program_in_a_node_ends_with_the_command_that_ran_it() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        user.succeed(&["lab", "up", "net.csv", "--detach"]);
        for end in [Signal::SIGTERM, Signal::SIGKILL] {
            let mut command = user.command(&["lab", "exec", "n1", "--", "sh", "-c", "echo on; exec sleep 1000"]);
            let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
            let mut stdout = child.stdout.take().unwrap();
            stdout.read_exact(&mut [0; 3]).unwrap();
            kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), end).unwrap();
            child.wait().unwrap();
            // Held open by the program; its end closes it.
            stdout.read_to_end(&mut Vec::new()).unwrap();
        }
        user.succeed(&["lab", "down"]);
    }
}

#[test]
fn labs_in_a_folder_of_somebody_else_are_not_trusted() {
    let user = User::all().pop().unwrap();
    let run = user.folder().join("run");
    std::fs::create_dir_all(run.join("trap")).unwrap();
    std::fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(run.join("trap/control")).unwrap();
    let told = user.fail(&["lab", "exec", "--name", "trap", "n1", "--", "true"], 2);
    assert!(told.contains("it belongs to somebody else, or others may write to it"), "{told}");
    assert_eq!(user.succeed(&["lab", "list"]), "no lab is running\n");
    assert!(run.join("trap").exists());
}

/// What a matrix's evidence is must not depend on who reads the table.
#[test]
fn a_reader_that_goes_away_costs_no_evidence() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        let mut command = user.command(&["verify", "net.csv", "--out", "out", "--probes", "2", "--json", "r.json"]);
        let (read, write) = std::io::pipe().unwrap();
        let mut child = command.stdout(write).spawn().unwrap();
        drop((command, read));
        child.wait().unwrap();
        assert!(user.folder().join("out/run.json").exists() && user.folder().join("r.json").exists());
    }
}

/// In a lab an ordinary user looks like root, and process numbers are those of any other lab.
#[test]
fn a_lab_fits_into_a_lab() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        user.succeed(&["lab", "up", "net.csv", "--detach"]);
        let program = user.folder().join("longhaul");
        let inner = ["env", "-u", "LONGHAUL_RUNTIME_DIR", program.to_str().unwrap(), "verify", "net.csv"];
        let outer = ["lab", "exec", "n1", "--"];
        let how = ["--probes", "2", "--tolerance", "0%,50ms", "--out", "out"];
        let printed = user.succeed(&[&outer[..], &inner, &how].concat());
        assert!(printed.contains("PASS"), "{printed}");
        user.succeed(&["lab", "down", "net"]);
    }
}

/// Whatever is said to the control socket, the lab goes on.
#[test]
fn nonsense_on_the_control_socket_harms_nobody() {
    let user = User::all().pop().unwrap();
    user.write("net.csv", MATRIX);
    user.succeed(&["lab", "up", "net.csv", "--detach"]);
    let mut stream = UnixStream::connect(user.folder().join("run/net/control")).unwrap();
    let deep =
        format!(r#"{{"id":1,"ask":{{"relay":{{"node":0,"request":{}{}}}}}}}"#, "[".repeat(9_999), "]".repeat(9_999));
    for line in [
        r"garbage",
        r#"{"id":1,"ask":{"relay":{"node":99999999,"request":{}}}}"#,
        r#"{"id":1,"ask":{"relay":{"node":18446744073709551615,"request":{}}}}"#,
        r#"{"id":1,"ask":{"enter":{"node":18446744073709551615}}}"#,
        r#"{"id":1,"ask":{"relay":{"node":0,"request":{"apply":1}}}}"#,
        &deep,
    ] {
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer).unwrap();
        assert!(answer.contains("failed"), "{line:.80}: {answer}");
    }
    user.succeed(&["status"]);
    user.succeed(&["lab", "down"]);
}

#[test]
fn a_folder_too_deep_for_a_socket_is_told() {
    for user in User::all() {
        user.write("net.csv", "0,1\n1,0\n");
        let deep = user.folder().join("d".repeat(90));
        let mut command = user.command(&["lab", "up", "net.csv"]);
        let output = command.env("LONGHAUL_RUNTIME_DIR", &deep).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("set LONGHAUL_RUNTIME_DIR to a shorter folder"), "{told}");
        assert!(!deep.exists(), "the folder of the refused lab is left");
    }
}
