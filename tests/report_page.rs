//! The report as a browser shows it: headless Chromium opens it from its file, wide and narrow, light and dark.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PLAN: &str = "apiVersion: longhaul/v1\nname: small\nquestion: Is it so?\ntestbed: simulation\nrepetitions: 2\n\
                    topologies: [{name: drawn, random: {nodes: 3, base: 5ms, addition: 20ms}, seed: 1, loss: 0.1%}]\n\
                    strategies: [{policy: round-robin}, {policy: p2c-ewma}]\nbalancing:\n  duration: 20s\n\
                    \x20 qos: {within: 80ms, atLeast: 90%, window: 5s}\n\
                    \x20 service: {time: {fixed: 5ms}}\n  instances: {on: [n1, n2]}\n\
                    \x20 clients: {each: 1, rate: 10/s, arrivals: poisson}\n\
                    sweep: [{vary: balancing.clients.each, over: [2]}]\n\
                    claims: [{says: none is lost, metric: failures, of: round-robin, between: [0, 0.01]},\n\
                    \x20 {says: all are, metric: failures, of: round-robin, between: [0.9, 1]}]\n";

/// Put into a copy of the page, which has no scripts of its own: unfolds everything and says what came of the layout.
const PROBE: &str = "<script>addEventListener('load', () => {\n\
    document.querySelectorAll('details').forEach(one => one.open = true);\n\
    const root = document.documentElement, body = getComputedStyle(document.body);\n\
    const seen = [...document.querySelectorAll('h2')].filter(one => one.offsetHeight > 0).length;\n\
    const wide = [...document.querySelectorAll('body *')].filter(one => !one.closest('.scroll') && !one.closest('pre')\n\
      && one.getBoundingClientRect().right > root.clientWidth + 1).map(one => one.tagName).join(' ');\n\
    const captions = [...document.querySelectorAll('caption')].filter(one => one.offsetParent\n\
      && one.getBoundingClientRect().width > root.clientWidth).length;\n\
    parent.postMessage(`overflow ${root.scrollWidth - root.clientWidth} beyond [${wide}] headings ${seen} captions ${captions} \
    ground ${body.backgroundColor} ink ${body.color}`, '*'); });</script>";

/// Forbids all but what stands in the page itself.
const ALONE: &str =
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>";

/// Chromium, or why this is skipped.
fn chromium() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&folders)
        .flat_map(|folder| ["chromium", "chromium-browser"].map(|name| folder.join(name)));
    let found = places.into_iter().find(|place| place.is_file());
    if found.is_none() {
        println!("SKIP: chromium is missing (Debian: chromium)");
    }
    found
}

/// What a browser without a network, and without anything of the user, prints and complains of. The sandbox is off: root has none,
/// and the page is ours.
fn browse(chromium: &Path, folder: &Path, words: &[&str]) -> (String, String) {
    let profile = tempfile::tempdir_in(folder).unwrap();
    // A browser that hangs is ended.
    let output = Command::new("timeout")
        .args(["-k", "5", "120"])
        .arg(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-default-apps",
        ])
        .args(["--enable-logging=stderr", "--virtual-time-budget=5000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(words)
        .env("HOME", profile.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words:?}: {}: {complaints}", output.status);
    (said.into_owned(), complaints.into_owned())
}

/// A run with its report in `folder`.
fn report(folder: &Path) -> PathBuf {
    std::fs::write(folder.join("plan.yaml"), PLAN).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
    let output = command.args(["run", "plan.yaml", "--output", "run"]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join("run/report.html")
}

fn address(path: &Path) -> String {
    format!("file://{}", path.display())
}

#[test]
fn a_browser_shows_everything_and_asks_nobody() {
    let Some(chromium) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = std::fs::read_to_string(report(folder.path())).unwrap();
    let copy = folder.path().join("copy.html");
    // The browser complains of everything that the page asks for beyond itself.
    let strict = |page: &str| {
        std::fs::write(&copy, page.replacen("<head>", &format!("<head>{ALONE}"), 1)).unwrap();
        browse(&chromium, folder.path(), &["--dump-dom", &address(&copy)])
    };
    let (dom, complaints) = strict(&page);
    for words in ["Question", "Claims", "Results", "Sweep", "Setting", "Delays", "Caveats", "How to repeat it"] {
        assert!(dom.contains(&format!(">{words}</h2>")), "{words} is missing");
    }
    assert!(dom.contains("✓ held") && dom.contains("✗ not held") && dom.contains("</svg>"), "no verdicts or figures");
    assert!(!complaints.contains("CONSOLE"), "{complaints}");
    let (_, complaints) = strict(&page.replacen("</body>", "<img src='http://192.0.2.1/a.png'></body>", 1));
    assert!(
        complaints.contains("CONSOLE") && complaints.contains("192.0.2.1"),
        "nothing is said of an image: {complaints}"
    );
}

#[test]
fn nothing_sticks_out_of_a_window_wide_or_narrow() {
    let Some(chromium) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = std::fs::read_to_string(report(folder.path())).unwrap();
    let copy = folder.path().join("copy.html");
    std::fs::write(&copy, page.replacen("</body>", &format!("{PROBE}</body>"), 1)).unwrap();
    for (width, scheme, ground) in
        [(1280, 1, "rgb(255, 255, 255)"), (400, 1, "rgb(255, 255, 255)"), (400, 0, "rgb(23, 24, 27)")]
    {
        let frame = folder.path().join("frame.html");
        // A frame can be narrower than the narrowest window.
        let text = format!(
            "<body><script>addEventListener('message', told => document.body.append(told.data))</script>\
             <iframe style='width:{width}px;height:2000px;border:0' src='copy.html'></iframe></body>"
        );
        std::fs::write(&frame, text).unwrap();
        let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
        let (dom, _) =
            browse(&chromium, folder.path(), &[&scheme, "--window-size=1400,2100", "--dump-dom", &address(&frame)]);
        let expected = format!("overflow 0 beyond [] headings 9 captions 0 ground {ground}");
        assert!(dom.contains(&expected), "{width}: not {expected} in {dom}");
    }
}

#[test]
fn a_picture_of_the_page_is_no_empty_one() {
    let Some(chromium) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (page, picture) = (report(folder.path()), folder.path().join("page.png"));
    let screenshot = format!("--screenshot={}", picture.display());
    browse(&chromium, folder.path(), &["--window-size=1280,4000", &screenshot, &address(&page)]);
    let bytes = std::fs::read(&picture).unwrap();
    // An empty page of this size has some 20 kB.
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 60_000, "{} bytes", bytes.len());
}
