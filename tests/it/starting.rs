//! Where the proxy listens, what it says about it, and when it does not start.

use std::net::TcpListener;

use crate::support::provider::free_port;
use crate::support::tls::Authority;
use crate::support::{GET, OK, Provider, Proxy, Wire, answered, start};

/// The one line that says where everything is.
fn start_line(proxy: &Proxy) -> String {
    let stderr = proxy.stderr();
    let lines: Vec<_> = stderr.lines().filter(|line| line.contains(" listening on ")).collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    lines[0].to_owned()
}

#[test]
fn the_start_line_says_where_everything_is() {
    let (provider, proxy) = start();
    let (port, admin) = (proxy.port(), proxy.admin_address());
    let line = start_line(&proxy);
    assert!(
        line.starts_with(&format!(
            "perimeter {} listening on http://127.0.0.1:{port}",
            env!("CARGO_PKG_VERSION")
        )),
        "{line}"
    );
    assert!(line.contains(&format!(", forwarding to {}, ", provider.url())), "{line}");
    assert!(line.contains(&format!(", admin on http://{admin}; ")), "{line}");
    assert!(line.ends_with(&format!("; set OPENAI_BASE_URL=http://127.0.0.1:{port}/v1")), "{line}");
}

#[test]
fn the_start_line_is_said_at_every_log_level() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).args(&["--log-level", "error"]).start();
    start_line(&proxy);
}

#[test]
fn a_base_url_that_ends_in_v1_is_not_doubled_in_what_to_set() {
    let provider = Provider::start();
    for base in ["/v1", "/v1/", "/openai/v1"] {
        let proxy = Proxy::to_url(format!("{}{base}", provider.url())).start();
        let line = start_line(&proxy);
        assert!(
            line.ends_with(&format!("; set OPENAI_BASE_URL=http://127.0.0.1:{}", proxy.port())),
            "{base}: {line}"
        );
    }
}

#[test]
fn anthropics_variable_has_no_version() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).anthropic().start();
    let line = start_line(&proxy);
    assert!(line.ends_with(&format!("; set ANTHROPIC_BASE_URL=http://127.0.0.1:{}", proxy.port())), "{line}");
}

#[test]
fn geminis_variable_has_no_version() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).kind("gemini").start();
    let line = start_line(&proxy);
    let address = format!("http://127.0.0.1:{}", proxy.port());
    assert!(line.ends_with(&format!("; set GOOGLE_GEMINI_BASE_URL={address}")), "{line}");
}

#[test]
fn where_any_api_may_be_spoken_every_variable_is_told() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).kind("auto").start();
    let line = start_line(&proxy);
    let address = format!("http://127.0.0.1:{}", proxy.port());
    let told = format!(
        "; set OPENAI_BASE_URL={address}/v1 or ANTHROPIC_BASE_URL={address} or GOOGLE_GEMINI_BASE_URL={address}"
    );
    assert!(line.ends_with(&told), "{line}");
}

#[test]
fn the_user_information_of_a_base_url_is_not_told() {
    let provider = Provider::start();
    let proxy = Proxy::to_url(format!("http://user:hunter2@{}", provider.host())).start();
    assert!(!proxy.stderr().contains("hunter2"), "{}", proxy.stderr());
}

#[test]
fn the_default_listens_on_both_loopbacks() {
    let (provider, proxy) = start();
    // Where the machine has an IPv6 loopback at all.
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    assert!(
        start_line(&proxy).contains(&format!(" and http://[::1]:{},", proxy.port())),
        "{}",
        start_line(&proxy)
    );
    let mut client = Wire::to(format!("[::1]:{}", proxy.port()).parse().unwrap());
    client.send(GET);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
}

#[test]
fn a_host_that_is_given_is_the_only_one() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).args(&["--host", "127.0.0.1"]).start();
    assert!(!start_line(&proxy).contains("[::1]"));
}

#[test]
fn an_ipv6_provider_is_reached() {
    let Ok(probe) = TcpListener::bind("[::1]:0") else { return };
    drop(probe);
    let provider = Provider::at("[::1]:0".parse().unwrap());
    let proxy = Proxy::to(&provider).start();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept();
    assert_eq!(upstream.head().value("Host"), Some(provider.host().as_str()));
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
}

#[test]
fn a_port_that_is_taken_is_told_and_ends_the_start() {
    let provider = Provider::start();
    let taken = Provider::start();
    let exit = Proxy::to(&provider).args(&["--port", &taken.port().to_string()]).fails();
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    assert!(exit.stderr.contains(&taken.port().to_string()), "{}", exit.stderr);
    assert!(exit.stderr.contains("choose another with --port"), "{}", exit.stderr);
    let admin = format!("server: {{admin: {{port: {}}}}}\n", taken.port());
    let exit = Proxy::to(&provider).yaml(&admin).args(&["--port", "0"]).fails();
    assert!(exit.stderr.contains("choose another with server.admin.port"), "{}", exit.stderr);
    assert!(!exit.stderr.contains("listening on http"), "{}", exit.stderr);
}

#[test]
fn the_port_of_another_perimeter_is_taken() {
    let (provider, first) = start();
    let exit = Proxy::to(&provider).args(&["--port", &first.port().to_string()]).fails();
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
}

#[test]
fn an_admin_port_that_is_taken_ends_the_start() {
    let provider = Provider::start();
    let taken = Provider::start();
    let yaml = format!("server: {{admin: {{port: {}}}}}", taken.port());
    let exit = Proxy::to(&provider).args(&["--port", "0"]).yaml(&yaml).fails();
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    assert!(exit.stderr.contains(&taken.port().to_string()), "{}", exit.stderr);
}

#[test]
fn the_port_of_a_proxy_that_stopped_is_free_at_once() {
    let provider = Provider::start();
    let port = free_port();
    let proxy = Proxy::to(&provider).start_on(port);
    let (mut client, _upstream) = answered(&provider, &proxy, GET, OK);
    client.expect("ok");
    proxy.stop();
    assert_eq!(Proxy::to(&provider).start_on(port).port(), port);
}

#[test]
fn the_admin_port_is_the_next_one_where_that_is_free() {
    let provider = Provider::start();
    let port = free_port();
    assert_eq!(Proxy::to(&provider).start_on(port).admin_address().port(), port + 1);
}

#[test]
fn the_admin_port_is_any_one_where_the_next_is_taken() {
    let provider = Provider::start();
    let port = free_port();
    let _neighbour = TcpListener::bind(("127.0.0.1", port + 1)).unwrap();
    let proxy = Proxy::to(&provider).start_on(port);
    assert_ne!(proxy.admin_address().port(), port + 1);
    assert_eq!(proxy.admin("/health").head.status(), 200);
}

#[test]
fn a_base_url_that_is_our_own_listener_is_refused() {
    for host in ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"] {
        let port = free_port();
        let exit =
            Proxy::to_url(format!("http://{host}:{port}")).args(&["--port", &port.to_string()]).fails();
        assert_eq!(exit.code, Some(2), "{host}: {}", exit.stderr);
    }
}

#[test]
fn a_certificate_file_that_is_missing_ends_the_start() {
    let exit = Proxy::to_url("https://127.0.0.1:1")
        .args(&["--port", "0"])
        .env("SSL_CERT_FILE", "/nowhere/ca.pem")
        .fails();
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    assert!(exit.stderr.contains("/nowhere/ca.pem"), "{}", exit.stderr);
}

#[test]
fn a_certificate_file_that_holds_none_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "nothing of the kind").unwrap();
    let exit =
        Proxy::to_url("https://127.0.0.1:1").args(&["--port", "0"]).env("SSL_CERT_FILE", &file).fails();
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    assert!(exit.stderr.contains(file.to_str().unwrap()), "{}", exit.stderr);
}

#[test]
fn a_certificate_file_matters_only_where_there_is_tls() {
    let provider = Provider::start();
    let authority = Authority::new();
    Proxy::to(&provider).env("SSL_CERT_FILE", "/nowhere/ca.pem").start();
    Proxy::to_url("https://127.0.0.1:1").env("SSL_CERT_FILE", authority.file()).start();
}

#[test]
fn a_bad_certificate_file_is_not_hidden_by_a_folder_of_good_ones() {
    let exit = Proxy::to_url("https://127.0.0.1:1")
        .args(&["--port", "0"])
        .env("SSL_CERT_FILE", "/nowhere/ca.pem")
        .env("SSL_CERT_DIR", "/etc/ssl/certs")
        .fails();
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    assert!(exit.stderr.contains("/nowhere/ca.pem"), "{}", exit.stderr);
}

#[test]
fn a_proxy_variable_that_is_no_url_ends_the_start() {
    let exit = Proxy::to_url("https://127.0.0.1:1")
        .args(&["--port", "0"])
        .env("HTTPS_PROXY", "http://127.0.0.1:bad")
        .fails();
    assert_eq!(exit.code, Some(2), "{}", exit.stderr);
    assert!(exit.stderr.contains("HTTPS_PROXY"), "{}", exit.stderr);
}
