/** Subtitles, SubRip and WebVTT: what is said, and when. */

import type { Place } from './place.js';

const TIME = /^\s*(?:(\d+):)?(\d{1,2}):(\d{2})(?:[.,]\d{1,3})?\s*-->/;
/** Characters after which the time is named again. */
const APART = 400;

/** What is said as flowing text. A line that goes on from the cue before is not said twice. */
export function readSubtitles(source: string): { text: string; places: Place[] } {
  const places: Place[] = [];
  let text = '';
  let last = '';
  for (const block of source.replace(/\r\n?/g, '\n').split(/\n\s*\n/)) {
    const lines = block.split('\n');
    const row = lines.findIndex((line) => TIME.test(line));
    if (row < 0) continue;
    const [, hours = '0', minutes, seconds] = TIME.exec(lines[row]!)!;
    for (const line of lines.slice(row + 1)) {
      const said = line.replace(/<[^<>]*>|\{\\[^{}]*\}/g, '').replace(/&(amp|lt|gt|nbsp);/g, (_, name: string) => ({ amp: '&', lt: '<', gt: '>' })[name] ?? ' ').trim();
      if (said === '' || said === last) continue;
      // What was said last is the end of the text, which is not looked at itself: to find its end takes longer with each line.
      const ends = /[.!?…"”]$/.test(last);
      if (text !== '') text += ends && text.length - (places.at(-1)?.at ?? 0) > APART ? '\n\n' : ' ';
      if (places.length === 0 || text.length - places.at(-1)!.at > APART) places.push({ at: text.length, label: `${Number(hours)}:${minutes!.padStart(2, '0')}:${seconds}` });
      text += said;
      last = said;
    }
  }
  return { text, places };
}
