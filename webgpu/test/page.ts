/** The page's side of the tests in Chromium. */
import { serve } from './runner.js';

serve('/', navigator.gpu).catch((error: unknown) => {
  console.error(String(error));
});
