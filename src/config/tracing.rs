//! `[tracing]`: the traces of OpenTelemetry, and the collector that they are sent to.

use std::collections::BTreeMap;

use hyper::http::{HeaderName, HeaderValue};
use url::Url;

use super::{
    format::{Format, List, Parsed, list, parsed},
    items::FormatItems as _,
    read::{Given, Section},
    secret::{REDACTED, Secret},
    section::{Absent, Declared, Item, Key, Shown, section},
};
use crate::core::trace::SampleRatio;

section! {
    /// Traces, sent to a collector by OTLP over HTTP. There are none unless `endpoint` is set.
    pub struct Tracing {
        /// Address of the collector. Spans go to `/v1/traces` under it. A change takes a restart.
        endpoint: Option<String> = endpoint().optional(r#""http://127.0.0.1:4318""#);
        /// A file with headers for the collector, one a line, as in `authorization: Bearer …`.
        /// A change takes a restart.
        headers_file: Option<Secret> = HeadersFile;
        /// Share of the traces that are recorded, of those that begin here: 0.01 is one in a hundred. If
        /// the sender of a webhook takes part in a trace, the sender decides. Set the same for receivers
        /// and workers. A change takes a restart.
        sample_ratio: SampleRatio = Ratio.default(SampleRatio::HUNDREDTH);
        /// Name of the service in the traces (`service.name`). A change takes a restart.
        service_name: String = service_name().default("hookswitch".to_owned());
        /// More attributes of all spans' resource, each as `name=value`. A change takes a restart.
        resource: Vec<String> = attributes().default(Vec::new());
    }
}

impl Tracing {
    /// Returns the headers for the collector.
    pub fn headers(&self) -> BTreeMap<String, Secret> {
        let text = self.headers_file.as_ref().map_or("", Secret::reveal);
        text.lines().filter_map(header).map(|(name, value)| (name.to_owned(), Secret::new(value))).collect()
    }

    /// Returns the attributes of the resource as name and value.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.resource.iter().filter_map(|attribute| attribute.split_once('='))
    }
}

/// Declares the address of a collector.
fn endpoint() -> Parsed<String> {
    let parse = |text: &str| {
        let url = Url::parse(text).ok()?;
        let is_plain = url.scheme() == "http"
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        is_plain.then(|| text.trim_end_matches('/').to_owned())
    };
    parsed("an address of the form http://host:port", parse, String::clone)
}

/// Declares the name of a service.
fn service_name() -> Parsed<String> {
    let parse = |text: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        (!text.is_empty() && text.bytes().all(is_allowed)).then(|| text.to_owned())
    };
    parsed("a name of A-Z, a-z, 0-9, `-`, `_`, `.` and `/`", parse, String::clone)
}

/// Declares attributes of a resource.
fn attributes() -> List<String> {
    let parse = |text: &str| {
        let (name, value) = text.split_once('=')?;
        (!name.trim().is_empty() && !value.is_empty()).then(|| text.to_owned())
    };
    list("a list of attributes, as in \"deployment.environment.name=production\"", parse, String::clone)
}

/// A share of the traces.
struct Ratio;

impl Format for Ratio {
    type Value = SampleRatio;

    fn values(&self) -> String {
        "a number from 0.0 to 1.0".to_owned()
    }

    fn parse(&self, given: &Given) -> Option<SampleRatio> {
        SampleRatio::new(given.number()?)
    }

    fn write(&self, value: &SampleRatio) -> String {
        format!("{:?}", value.get())
    }
}

/// Splits a line into the name and the value of a header. `None` if it is none.
fn header(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let (name, value) = (name.trim(), value.trim());
    let is_valid = HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok();
    is_valid.then_some((name, value))
}

/// A file with headers, whose values are secret.
struct HeadersFile;

impl Item for HeadersFile {
    type Value = Option<Secret>;

    fn declare(&self, name: &'static str, doc: &str) -> Vec<Declared> {
        let (values, example) = ("the path of a file".to_owned(), "\"/run/secrets/otlp_headers\"".to_owned());
        let (doc, absent) = (doc.to_owned(), Absent::Optional);
        vec![Declared::Key(Key { name, doc, values, absent, example, alternative: false })]
    }

    fn read(&self, name: &'static str, section: &Section<'_>) -> Option<Option<Secret>> {
        let Some(given) = section.given(name) else { return Some(None) };
        let text = section.file(&given)?;
        if text.lines().any(|line| !line.trim().is_empty() && header(line).is_none()) {
            section.wrong(&given, "a file with one header a line, as in `authorization: Bearer …`");
            return None;
        }
        Some(Some(Secret::new(text)))
    }

    fn show(&self, name: &'static str, value: &Option<Secret>) -> Vec<Shown> {
        value.iter().map(|_| Shown::Key(name, format!("\"{REDACTED}\""))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn tracing(lines: &str) -> Result<Tracing, String> {
        let text = format!("[tracing]\n{lines}");
        let config = Config::parse(&text, Path::new("test.toml"), &BTreeMap::new());
        config.map(|config| config.tracing).map_err(|problems| problems.to_string())
    }

    #[test]
    fn it_is_off_unless_there_is_an_endpoint() {
        assert_eq!(tracing("").expect("valid").endpoint, None);
        let given = tracing("endpoint = \"http://collector:4318/\"\nsample_ratio = 1").expect("valid");
        assert_eq!(given.endpoint.as_deref(), Some("http://collector:4318"));
        assert_eq!(given.sample_ratio.get(), 1.0);
        for wrong in [
            "endpoint = \"https://collector\"",
            "endpoint = \"collector:4318\"",
            "endpoint = \"http://user:word@collector\"",
            "sample_ratio = 1.5",
            "sample_ratio = \"all\"",
            "resource = [\"production\"]",
            "service_name = \"\"",
        ] {
            assert!(tracing(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_headers_of_a_file_are_never_shown() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let line = format!("headers_file = \"{}\"", file.path().display());
        std::fs::write(file.path(), "authorization: Bearer word-1\n\nx-tenant:a:b\n").expect("written");
        let given = tracing(&line).expect("valid");
        let headers = given.headers();
        let values: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
        assert_eq!(values, [("authorization", "Bearer word-1"), ("x-tenant", "a:b")]);
        assert!(!format!("{given:?}").contains("word-1"));
        std::fs::write(file.path(), "Bearer word-2").expect("written");
        let problem = tracing(&line).expect_err("no header");
        assert!(problem.contains("tracing.headers_file") && !problem.contains("word-2"), "{problem}");
    }
}
