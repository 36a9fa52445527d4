//! A headless Chromium that is told what to do over its DevTools protocol, by WebSocket.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use soketto::handshake::{Client as Handshake, ServerResponse};
use soketto::{Receiver, Sender};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use crate::net::{Process, wait_for};

/// One page. The process ends with it.
pub struct Browser {
    runtime: tokio::runtime::Runtime,
    sender: Sender<Compat<TcpStream>>,
    receiver: Receiver<Compat<TcpStream>>,
    session: Option<String>,
    next_id: u64,
    _process: Process,
    home: tempfile::TempDir,
}

impl Browser {
    /// A browser with one empty page; `None`, and a line that says so, where no Chromium is installed. With
    /// `E2E_BROWSER=required` that is a failure.
    pub fn open() -> Option<Self> {
        let mut version = Command::new("chromium");
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        if !version.status().is_ok_and(|status| status.success()) {
            assert!(std::env::var_os("E2E_BROWSER").is_none_or(|wish| wish != "required"), "no chromium");
            println!("skipped: no chromium is installed");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromium");
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", home.path().join("profile").display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process::spawn(&mut command);
        let (port, path) = wait_for("the browser's address", || {
            let text = std::fs::read_to_string(home.path().join("profile/DevToolsActivePort")).ok()?;
            let (port, path) = text.split_once('\n')?;
            Some((port.parse::<u16>().ok()?, path.trim().to_owned()))
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (sender, receiver) = runtime.block_on(async {
            let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let host = format!("127.0.0.1:{port}");
            let mut handshake = Handshake::new(stream.compat(), &host, &path);
            let answer = handshake.handshake().await.unwrap();
            assert!(matches!(answer, ServerResponse::Accepted { .. }), "the browser takes commands");
            handshake.into_builder().finish()
        });
        let mut browser =
            Self { runtime, sender, receiver, session: None, next_id: 1, _process: process, home };
        let made = browser.command("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": made["targetId"], "flatten": true });
        let attached = browser.command("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        browser.command("DOM.enable", json!({}));
        Some(browser)
    }

    /// One command of the DevTools protocol, and its result.
    fn command(&mut self, method: &str, params: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let (sender, receiver) = (&mut self.sender, &mut self.receiver);
        let answer = self.runtime.block_on(async {
            sender.send_text(message.to_string()).await.unwrap();
            sender.flush().await.unwrap();
            loop {
                let mut text = Vec::new();
                receiver.receive_data(&mut text).await.unwrap();
                let answer: Value = serde_json::from_slice(&text).unwrap();
                // Whatever else it tells of is of no interest here.
                if answer["id"] == json!(id) {
                    return answer;
                }
            }
        });
        assert_eq!(answer.get("error"), None, "{method}: {answer}");
        answer["result"].clone()
    }

    pub fn go(&mut self, url: &str) {
        self.command("Page.navigate", json!({ "url": url }));
    }

    /// What an expression in the page is worth; nothing while the page is on its way.
    pub fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        self.command("Runtime.evaluate", params)["result"]["value"].clone()
    }

    /// The text of the first element that a selector names, or nothing.
    pub fn text(&mut self, selector: &str) -> String {
        let found = self.value(&format!("document.querySelector({})?.innerText ?? ''", json!(selector)));
        found.as_str().unwrap_or_default().to_owned()
    }

    pub fn count(&mut self, selector: &str) -> u64 {
        let found = self.value(&format!("document.querySelectorAll({}).length", json!(selector)));
        found.as_u64().unwrap_or(0)
    }

    /// Waits until an element's text contains this.
    pub fn wait_text(&mut self, selector: &str, part: &str) {
        wait_for(&format!("{part:?} in {selector}"), || self.text(selector).contains(part).then_some(()));
    }

    /// Presses the mouse's button in the middle of an element.
    pub fn click(&mut self, selector: &str) {
        let place = format!(
            "(() => {{ const one = document.querySelector({}); if (!one) return null; one.scrollIntoView({{ block: 'center' }}); \
             const box = one.getClientRects()[0]; return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            json!(selector)
        );
        let place = wait_for(&format!("{selector} to click"), || {
            let place = self.value(&place);
            place.is_array().then_some(place)
        });
        for kind in ["mousePressed", "mouseReleased"] {
            let params =
                json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.command("Input.dispatchMouseEvent", params);
        }
    }

    /// Presses a key: a letter, or one by its name.
    pub fn press(&mut self, key: &str) {
        let mut down = json!({ "type": "keyDown", "key": key });
        match key {
            "Enter" => (down["text"], down["windowsVirtualKeyCode"]) = (json!("\r"), json!(13)),
            "Tab" => down["windowsVirtualKeyCode"] = json!(9),
            _ if key.chars().count() == 1 => down["text"] = json!(key),
            _ => {}
        }
        self.command("Input.dispatchKeyEvent", down);
        self.command("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key }));
    }

    /// Writes where the keyboard's focus is.
    pub fn write(&mut self, text: &str) {
        self.command("Input.insertText", json!({ "text": text }));
    }

    /// Chooses a file where the page asks for one.
    pub fn choose_file(&mut self, selector: &str, file: &Path) {
        let root = self.command("DOM.getDocument", json!({ "depth": 0 }));
        let of = json!({ "nodeId": root["root"]["nodeId"], "selector": selector });
        let found = self.command("DOM.querySelector", of);
        self.command("DOM.setFileInputFiles", json!({ "nodeId": found["nodeId"], "files": [file] }));
    }

    /// Writes the page as it looks in light, in dark, and in light on a phone, where `E2E_PICTURES` names a directory.
    pub fn pictures(&mut self, name: &str) {
        let Some(directory) = std::env::var_os("E2E_PICTURES").map(std::path::PathBuf::from) else { return };
        std::fs::create_dir_all(&directory).unwrap();
        for (look, scheme, width) in
            [("light", "light", 1200), ("dark", "dark", 1200), ("phone", "light", 390)]
        {
            let size =
                json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500 });
            self.command("Emulation.setDeviceMetricsOverride", size);
            let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
            self.command("Emulation.setEmulatedMedia", json!({ "features": features }));
            let taken = self
                .command("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }));
            let picture = timed::rpc::base64::decode(taken["data"].as_str().unwrap()).unwrap();
            std::fs::write(directory.join(format!("{name}-{look}.png")), picture).unwrap();
        }
        self.command("Emulation.clearDeviceMetricsOverride", json!({}));
    }

    /// What the page saves goes here.
    pub fn saves(&mut self) -> std::path::PathBuf {
        let saved = self.home.path().join("saved");
        std::fs::create_dir_all(&saved).unwrap();
        let params = json!({ "behavior": "allow", "downloadPath": saved });
        self.command("Browser.setDownloadBehavior", params);
        saved
    }
}
