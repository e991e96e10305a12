// Drives Firefox over the pages that run code and keep data: node firefox.mjs <job as JSON>.
// Prints what it saw as JSON, one object; exit code 1 with the reason on standard error.
import puppeteer from "puppeteer-core";

const job = JSON.parse(process.argv[2]);
const seen = { complaints: [], asked: [] };
const browser = await puppeteer.launch({
  browser: "firefox", executablePath: job.firefox, headless: true,
});
try {
  seen.version = await browser.version();
  const page = await browser.newPage();
  const size = { width: 360, height: 800 };
  await page.setViewport(size).catch(() => undefined); // after the size it sets an orientation, which Firefox 140 refuses
  page.on("pageerror", (error) => seen.complaints.push(String(error)));
  page.on("request", (request) => seen.asked.push(request.url()));

  const card = (name) => `.fd-run:is([data-fd-run="${name}"], [data-step="${name}"])`;
  const status = (name) => page.$eval(`${card(name)} .fd-run__state`, (line) => line.textContent);
  const press = async (name, label, wait = true) => {
    await page.waitForSelector(`${card(name)} .fd-run__bar`);
    await page.evaluate((at, text) => {
      const buttons = [...document.querySelectorAll(`${at} button`)];
      buttons.find((one) => one.textContent === text).click();
    }, card(name), label);
    if (!wait) return "";
    await page.waitForFunction((at) => {
      const here = document.querySelector(at);
      return !here.querySelector("[aria-busy=true]") && !here.innerText.includes("Loading");
    }, { timeout: 60_000 }, card(name));
    return status(name);
  };
  const write = async (name, text) => {
    await press(name, "Edit");
    await page.waitForSelector(`${card(name)} .cm-content`);
    await page.focus(`${card(name)} .cm-content`);
    await page.keyboard.down("Control");
    await page.keyboard.press("Home");
    await page.keyboard.up("Control");
    // Its end first: the editor may indent what follows a colon, depending on how far it has read.
    await page.keyboard.press("Enter");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.type(text);
  };

  await page.goto(job.site + job.page);
  await page.waitForSelector(`${card(job.file)} .fd-run__bar`);
  seen.before = seen.asked.filter((url) => url.includes("pyodide"));
  seen.run = await press(job.file, "Run");
  seen.output = await page.$eval(`${card(job.file)} .fd-run__out`, (out) => out.textContent);
  seen.again = await press(job.file, "Run");
  seen.tests = await press(job.file, "Run its tests");
  await write(job.file, "1 / 0");
  seen.error = await press(job.file, "Run");
  await press(job.file, "Reset");
  await write(job.file, "while True: pass");
  await press(job.file, "Run", false);
  await page.waitForFunction((at) => document.querySelector(at).innerText.includes("Running"),
    { timeout: 60_000 }, card(job.file));
  seen.stop = await press(job.file, "Stop");
  await press(job.file, "Reset");
  seen.after = await press(job.file, "Run");

  await page.goto(job.site + job.sql);
  seen.rows = await press(job.step, "Run");
  seen.explained = await press(job.step, "Explain");
  seen.plan = await page.$eval(`${card(job.step)} .fd-run__out`, (out) => out.textContent);

  await page.goto(`${job.site}checklist/`);
  const choose = "article input[type=radio][value='2']";
  await page.waitForSelector(choose);
  await page.$eval(choose, (one) => one.click());
  await page.reload();
  await page.waitForSelector(choose);
  seen.kept = await page.$eval(choose, (one) => one.checked);
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
