/** All tests of the page, in one process and one browser. */

import './open.test.mjs';
import './try.test.mjs';
import './ranking.test.mjs';
import './table.test.mjs';
import './markup.test.mjs';
import './element.test.mjs';
import './search.test.mjs';
import './reading.test.mjs';
import './firefox.test.mjs';
import './model.test.mjs';
import './sections.test.mjs';
import './snippets.test.mjs';
