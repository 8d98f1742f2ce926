/** A short text of our own to try the search with. */

import type { Source } from './read.js';

export const sample: Source = {
  name: 'A day on the island',
  text: `The first ferry comes in before seven, when the harbour is still grey. It brings bread, newspapers, two crates of lemons and, on Tuesdays, the doctor. Those who want to leave have to be on the quay early, for the captain waits for nobody, not even for his brother.

The island has one road. It climbs from the harbour through the vineyards to the chapel and comes down again on the other side, where the fields are. In summer the stones are too hot for bare feet by ten o'clock. Older people walk it before breakfast or not at all.

Water is the great worry. There is no river, and the three wells give less every year. Each house keeps a cistern under its terrace, filled by the winter rain, and children learn to turn off a tap before they learn to read. A machine that takes the salt out of sea water was promised by four mayors in a row; the fifth one built it.

Anna runs the bakery that her grandmother opened. She lights the oven at three in the morning with olive wood, because it burns slowly and smells of nothing. The dough has been resting since the evening. It is made of flour, water, salt and a piece of yesterday's dough, and it must not be hurried; on cold nights it takes two hours more.

The school has eleven pupils and one teacher, who came for a year and has stayed for nineteen. They are taught together, the big ones helping the small. Mathematics is done with the catch of the day: how many fish, how many kilos, what is left when the fuel has been paid for.

In the evening the fishermen mend their nets in front of the café. They talk of engines and the price of diesel, of the tuna that no longer come, and of the big trawlers that can be seen at night, lit like towns. One of them has begun to take visitors out to watch dolphins. He earns more than with fishing, he says, and the dolphins do not mind.

Electricity comes through a cable from the mainland. When it fails, which happens in storms, the hospital boat cannot be called by telephone, so there is a radio in the chapel, and everyone older than twelve knows how to use it. Last spring the roof of the school was covered with solar panels; since then the lights there stay on.

At midnight the lighthouse is the only thing awake. Nobody has lived in it for thirty years. A computer turns the lamp, and a technician comes twice a year to clean the lens and count the birds that nest below the gallery.`,
};
