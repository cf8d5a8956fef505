//! Headless Chromium, driven over `WebDriver` by a chromedriver of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use thirtyfour::prelude::{ElementWaitable as _, WebDriverResult};
use thirtyfour::{By, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver};

use crate::net::{free_port, wait_for_port};
use crate::process::{self, Server, folder, is_root};

/// A browser with a profile of its own. Ends when dropped.
#[derive(Debug)]
pub struct Browser {
    driver: WebDriver,
    // In this order: the browser ends before its folder is removed.
    _server: Server,
    folder: tempfile::TempDir,
}

/// The size and colours that a page is shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A desktop window, light colours.
    Light,
    /// A desktop window, dark colours.
    Dark,
    /// A phone held upright, light colours.
    Phone,
    /// A phone held upright, dark colours.
    PhoneDark,
}

impl Browser {
    /// Starts a browser.
    pub async fn start() -> Result<Self> {
        let folder = folder("browser");
        let (server, port) = Self::serve(folder.path())?;
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in Self::arguments(folder.path()) {
            capabilities.add_arg(&argument)?;
        }
        capabilities.set_binary(&process::program("chromium", &[], "chromium").display().to_string())?;
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities)
            .await
            .context("start a browser session")?;
        let browser = Self { driver, _server: server, folder };
        browser.look(Look::Light).await?;
        Ok(browser)
    }

    /// The session, to navigate and look with.
    pub fn driver(&self) -> &WebDriver {
        &self.driver
    }

    /// Changes size and colours, as if the reader had.
    pub async fn look(&self, look: Look) -> Result<()> {
        let (dark, phone) = match look {
            Look::Light => (false, false),
            Look::Dark => (true, false),
            Look::Phone => (false, true),
            Look::PhoneDark => (true, true),
        };
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        let (width, height) = if phone { (390, 844) } else { (1280, 900) };
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
        let tools = self.driver.cdp();
        tools.send_raw("Emulation.setEmulatedMedia", media).await?;
        tools.send_raw("Emulation.setDeviceMetricsOverride", metrics).await?;
        Ok(())
    }

    /// Does what leads to another page, and returns when that one has taken the place of this one.
    ///
    /// A click and a key come back when the browser has heard of them: whoever navigates at once calls off what
    /// they were about to send.
    pub async fn leave(&self, act: impl Future<Output = WebDriverResult<()>>) -> WebDriverResult<()> {
        let page = self.driver.find(By::Tag("html")).await?;
        act.await?;
        page.wait_until().wait(Duration::from_secs(20), Duration::from_millis(20)).stale().await
    }

    /// Turns scripts off or on, for pages that must work without.
    pub async fn scripts(&self, on: bool) -> Result<()> {
        let tools = self.driver.cdp();
        tools.send_raw("Emulation.setScriptExecutionDisabled", json!({ "value": !on })).await?;
        Ok(())
    }

    /// Takes a picture of what is shown. It goes to the folder named by `BINDERY_SCREENSHOTS`, else to one
    /// that is removed with the browser.
    pub async fn screenshot(&self, name: &str) -> Result<PathBuf> {
        let folder = std::env::var_os("BINDERY_SCREENSHOTS").map_or_else(|| self.folder.path().into(), PathBuf::from);
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{name}.png"));
        self.driver.screenshot(&file).await?;
        Ok(file)
    }

    fn serve(folder: &Path) -> Result<(Server, u16)> {
        let program = process::program("chromedriver", &[], "chromium-driver");
        for _ in 0..5 {
            let port = free_port();
            let mut command = Command::new(&program);
            command.arg(format!("--port={port}")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut server = Server::spawn(&mut command, folder)?;
            if wait_for_port(port, Duration::from_secs(20)) && server.status().is_none() {
                return Ok((server, port));
            }
        }
        anyhow::bail!("chromedriver does not start")
    }

    fn arguments(folder: &Path) -> Vec<String> {
        let mut arguments = [
            "--headless=new",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            "--no-proxy-server",
            "--hide-scrollbars",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(format!("--user-data-dir={}", folder.join("profile").display()));
        if is_root() {
            arguments.push("--no-sandbox".to_owned());
        }
        arguments
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own drop would ask the browser to end, and wait for an answer that a blocked runtime cannot bring.
        // The browser is killed with its driver.
        let _ = self.driver.clone().leak();
    }
}
