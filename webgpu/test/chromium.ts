/** node chromium.js URL: opens the tests' page in the system's Chromium. */
import { chromium } from 'playwright-core';

const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--enable-unsafe-webgpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const stop = async (): Promise<void> => {
  await browser.close();
  process.exit(0);
};
process.stdin.on('end', () => void stop()).resume();
const page = await browser.newPage();
page.on('console', (message) => console.error(`page: ${message.text()}`));
page.on('crash', () => {
  console.error('page crashed');
  process.exit(1);
});
await page.goto(process.argv[2]!);
