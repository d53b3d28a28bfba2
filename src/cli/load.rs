//! `longhaul load`: requests at moments that are fixed beforehand, and what became of them.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Uri};

use crate::balance::Qos;
use crate::serving::Clock;
use crate::units::Span;
use crate::wording::{OneLine, excerpt};
use crate::workload::load::{self, LoadOptions, Quantiles, Record, Schedule, Source, Summary, Trace, summarise};
use crate::workload::{Arrivals, Pace};

/// The most requests of a load: each is remembered to the end.
const MOST: f64 = 2e7;

/// Send requests at moments that are fixed beforehand, whether or not earlier ones are answered
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul load http://127.0.0.1:8080/ --clients 4 --rate 10/s
  longhaul load http://127.0.0.1:8080/ --arrivals poisson --at-least 0.9
  longhaul load http://10.0.0.1:8080/x --service detect --csv load.csv
  longhaul load http://127.0.0.1:8080/ --trace requests.csv

A latency counts from the moment at which the request was to leave, so a server that pauses is
charged with all that would have come meanwhile. A request is good when its status is 2xx and its
latency at most --within.

Exit code: 0 the load was as planned; 1 requests left too late, or, with --at-least, a client had
less than that share of good requests; 2 the input or the system is wrong.")]
pub(super) struct LoadArgs {
    /// What to ask for, as http://HOST:PORT/PATH
    #[arg(value_name = "URL")]
    url: Uri,
    /// What each client sends
    #[arg(long, value_name = "N/s", default_value = "10/s")]
    rate: Pace,
    /// Clients, each with its own connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// For how long
    #[arg(long = "for", value_name = "TIME", default_value = "10s")]
    duration: Span,
    /// How requests of a client follow each other
    #[arg(long, value_enum, default_value_t = ArrivalName::Fixed)]
    arrivals: ArrivalName,
    /// Where the dice of --arrivals poisson start
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Send the requests of this file instead: `at_ms,client,work_ms`, one a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rate", "clients", "duration", "arrivals", "seed"])]
    trace: Option<PathBuf>,
    /// Say {"ready":true}, then begin at the instant that comes as a line on standard input: nanoseconds of the
    /// machine's monotonic clock. So several loads of a machine begin together
    #[arg(long)]
    start_on_input: bool,
    /// Longest latency that is good
    #[arg(long, value_name = "TIME", default_value = "80ms")]
    within: Span,
    /// Share of good requests that every client is to have, 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = share)]
    at_least: Option<f64>,
    /// Window over which shares are also taken
    #[arg(long, value_name = "TIME", default_value = "10s")]
    window: Span,
    /// How long an answer is waited for
    #[arg(long, value_name = "TIME", default_value = "1s")]
    timeout: Span,
    /// Lateness of the 99th of 100 requests above which the load is not as planned
    #[arg(long, value_name = "TIME", default_value = "5ms")]
    lateness: Span,
    /// Service to ask a proxy for, sent as X-Longhaul-Service
    #[arg(long, value_name = "NAME")]
    service: Option<HeaderValue>,
    /// Further header, as 'Name: value'; may be given several times
    #[arg(long, value_name = "HEADER", value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// Method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: Method,
    /// Bytes that each request carries
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1 << 24))]
    body: u32,
    /// HTTP/2, without asking first
    #[arg(long)]
    http2: bool,
    /// Connections of each client; with --http2 requests at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Requests under way of all clients together; further ones are not sent
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    in_flight: usize,
    /// Also write the figures as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write every request to this file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// How requests of a client follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ArrivalName {
    /// At even distances
    Fixed,
    /// At random distances that know nothing of each other
    Poisson,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share is a number from 0 to 1".to_owned())
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written as 'Name: value'")?;
    let name = name.trim().parse().map_err(|_| format!("`{}` is no name of a header", excerpt(name)))?;
    let value = value.trim().parse().map_err(|_| format!("`{}` is no value of a header", excerpt(value)))?;
    Ok((name, value))
}

/// Runs `longhaul load`.
pub(super) fn run(args: &LoadArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let options = options(args)?;
    // Before the load, so that a wrong path does not cost a run.
    let mut csv = args.csv.as_deref().map(csv_file).transpose()?;
    let records = if args.start_on_input { start_on_input(&options, out)? } else { load::run(&options)? };
    let at_least = args.at_least.unwrap_or(0.9);
    let qos = Qos { within: args.within, at_least, window: args.window };
    let summary = summarise(&records, &qos);
    if let Some(csv) = &mut csv {
        write_csv(csv, &records, &qos).context("write the requests")?;
    }
    if let Some(path) = &args.json {
        let shape = serde_json::json!({
            "trace": args.trace, "clients": options.source.clients(), "rate_per_client": args.rate.per_second(), "seed": args.seed,
            "arrivals": if args.arrivals == ArrivalName::Fixed { "fixed" } else { "poisson" },
            "duration_ms": args.duration.as_millis_f64(), "within_ms": args.within.as_millis_f64(),
            "window_ms": args.window.as_millis_f64(), "timeout_ms": args.timeout.as_millis_f64(), "figures": summary,
        });
        let text = serde_json::to_string_pretty(&shape)? + "\n";
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    print(&summary, args, out)?;
    judge(&summary, args, out)
}

/// Says that all is ready, and sends from the instant on that then comes.
fn start_on_input(options: &LoadOptions, out: &mut dyn Write) -> anyhow::Result<Vec<Record>> {
    writeln!(out, "{}", serde_json::json!({ "ready": true }))?;
    out.flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("read the instant to begin at")?;
    let wanted: u64 = line.trim().parse().with_context(|| format!("`{}` is no instant to begin at", excerpt(&line)))?;
    let clock = Clock::start();
    let ahead = wanted.saturating_sub(super::host::monotonic_ns()?);
    Ok(load::run_from(options, clock, clock.now() + Span::from_nanos(ahead))?)
}

fn source(args: &LoadArgs) -> anyhow::Result<Source> {
    if let Some(path) = &args.trace {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        return Ok(Source::Traced(Trace::parse(&text).with_context(|| format!("read {}", path.display()))?));
    }
    let arrivals = match args.arrivals {
        ArrivalName::Fixed => Arrivals::Fixed,
        ArrivalName::Poisson => Arrivals::Poisson,
    };
    let LoadArgs { clients, rate: pace, duration, seed, .. } = *args;
    Ok(Source::Drawn(Schedule { clients, pace, arrivals, duration, seed }))
}

fn options(args: &LoadArgs) -> anyhow::Result<LoadOptions> {
    let source = source(args)?;
    if source.expected() > MOST {
        bail!("these would be {:.0} requests; at most {MOST} can be remembered", source.expected());
    }
    let (Some("http"), Some(authority)) = (args.url.scheme_str(), args.url.authority()) else {
        bail!("`{}` is no URL to load; write http://HOST:PORT/PATH", excerpt(&args.url.to_string()));
    };
    let target = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
    let mut addresses = target.to_socket_addrs().with_context(|| format!("look up {}", excerpt(target.0)))?;
    let target: SocketAddr = addresses.next().with_context(|| format!("{} has no address", excerpt(target.0)))?;
    let mut headers = HeaderMap::new();
    headers.extend(args.header.iter().cloned());
    if let Some(service) = &args.service {
        headers.insert("x-longhaul-service", service.clone());
    }
    let mut uri = args.url.clone();
    if !args.http2 {
        headers.entry(HOST).or_insert(HeaderValue::try_from(authority.as_str())?);
        uri = args.url.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    }
    Ok(LoadOptions {
        source,
        target,
        uri,
        method: args.method.clone(),
        headers,
        body: vec![b'.'; args.body as usize].into(),
        http2: args.http2,
        timeout: args.timeout,
        connections: usize::from(args.connections),
        in_flight: args.in_flight,
    })
}

type CsvFile = csv::Writer<std::fs::File>;

fn csv_file(path: &Path) -> anyhow::Result<CsvFile> {
    csv::Writer::from_path(path).with_context(|| format!("write {}", path.display()))
}

fn write_csv(csv: &mut CsvFile, records: &[Record], qos: &Qos) -> anyhow::Result<()> {
    csv.write_record([
        "client",
        "intended_ms",
        "lateness_ms",
        "latency_ms",
        "outcome",
        "status",
        "good",
        "instance",
        "processing_ms",
    ])?;
    for record in records {
        let status = match record.ending {
            load::Ending::Answered(status) => status.to_string(),
            _ => String::new(),
        };
        let ms = |span: Span| format!("{:.4}", span.as_millis_f64());
        csv.write_record([
            record.client.to_string(),
            format!("{:.4}", record.intended.as_secs_f64() * 1e3),
            ms(record.lateness()),
            ms(record.latency),
            record.ending.name().to_owned(),
            status,
            record.is_good(qos).to_string(),
            record.instance.as_deref().unwrap_or_default().to_owned(),
            record.processing.map(ms).unwrap_or_default(),
        ])?;
    }
    Ok(csv.flush()?)
}

fn print(summary: &Summary, args: &LoadArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let endings: Vec<String> = summary.endings.iter().map(|(name, count)| format!("{count} {name}")).collect();
    writeln!(out, "{} requests: {}", summary.requests, endings.join(", "))?;
    writeln!(out, "{:.2} % good (2xx within {})", summary.good * 100.0, args.within)?;
    let mut table = columns(["", "P50", "P90", "P99", "P99.9", "MAX"]);
    for (name, quantiles) in [
        ("latency", summary.latency),
        ("of it processing", summary.processing),
        ("of it the rest", summary.network),
        ("lateness of the load", summary.lateness),
    ] {
        if let Some(quantiles) = quantiles {
            table.add_row(row(name, &quantiles));
        }
    }
    writeln!(out, "{}", table.trim_fmt())?;
    if summary.instances.len() > 1 {
        let mut table = columns(["INSTANCE", "REQUESTS", "SHARE", "P90 PROCESSING"]);
        for one in &summary.instances {
            let p90 = one.processing.map_or_else(|| "-".to_owned(), |quantiles| format!("{:.3} ms", quantiles.p90_ms));
            let share = format!("{:.1} %", one.share * 100.0);
            table.add_row([OneLine(&one.instance).to_string(), one.requests.to_string(), share, p90]);
        }
        writeln!(out, "{}", table.trim_fmt())?;
    }
    for (what, count) in summary.failures.iter().take(5) {
        writeln!(out, "{count} × {}", OneLine(what))?;
    }
    Ok(())
}

fn columns(names: impl IntoIterator<Item = &'static str>) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(names);
    table
}

fn row(name: &str, quantiles: &Quantiles) -> Vec<String> {
    let Quantiles { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, .. } = *quantiles;
    let values = [p50_ms, p90_ms, p99_ms, p999_ms, max_ms].map(|ms| format!("{ms:.3} ms"));
    std::iter::once(name.to_owned()).chain(values).collect()
}

fn judge(summary: &Summary, args: &LoadArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let late = summary.lateness.map_or(0.0, |lateness| lateness.p99_ms);
    let unsent = summary.endings.get("not sent").copied().unwrap_or(0);
    if late > args.lateness.as_millis_f64() || unsent > 0 {
        let bound = args.lateness;
        writeln!(out, "the schedule was NOT kept: p99 lateness {late:.3} ms (bound {bound}), {unsent} not sent")?;
        code = ExitCode::from(1);
    }
    let below = |share: f64| summary.clients.iter().filter(|client| client.quality.share < share).count();
    let worst = summary.clients.iter().map(|client| client.quality.worst_window).fold(f64::INFINITY, f64::min);
    if !summary.clients.is_empty() {
        writeln!(out, "worst window of {} of any client: {:.2} % good", args.window, worst * 100.0)?;
    }
    if let Some(share) = args.at_least {
        let (below, all) = (below(share), summary.clients.len());
        writeln!(out, "{} of {all} clients had at least {:.1} % good", all - below, share * 100.0)?;
        if below > 0 {
            code = ExitCode::from(1);
        }
    }
    Ok(code)
}
