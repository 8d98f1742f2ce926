/** The most typical words of each group: frequent inside, rare outside. */

const SHOWN = 3;

/** Words too common to name anything, in a few languages; the weighting removes the rest. */
const COMMON = new Set(
  ('the and for that with this from are was were has have had not but you your they their its his her she him who which what when where will would can could should may one two all any been being into than then them these those there here also more most some such only over each other about after before between through during out our how why very just because while until again once shall said says say did does done upon unto like than much many make made must well now never yet thou thee thy thine hath doth art wilt shalt nor whom whose being come came went got let see ' +
    'der die das und ist nicht ein eine mit von auf für dem den des sich auch als wie bei nach les des une est pas que qui dans pour sur avec par los las una del con por para como más').split(' '),
);

/** Up to three words for each group number that occurs. */
export function typicalWords(texts: readonly string[], group: Uint8Array): string[][] {
  const k = group.reduce((most, g) => Math.max(most, g), 0) + 1;
  const sizes = new Array<number>(k).fill(0);
  const inside = Array.from({ length: k }, () => new Map<string, number>());
  const everywhere = new Map<string, number>();
  for (const [i, text] of texts.entries()) {
    const g = group[i]!;
    sizes[g]!++;
    for (const word of new Set(text.toLowerCase().match(/\p{L}[\p{L}\p{M}'’-]{2,}/gu) ?? [])) {
      if (COMMON.has(word)) continue;
      inside[g]!.set(word, (inside[g]!.get(word) ?? 0) + 1);
      everywhere.set(word, (everywhere.get(word) ?? 0) + 1);
    }
  }
  return inside.map((counts, g) => {
    const scored = [...counts].map(([word, n]) => {
      const all = everywhere.get(word)!;
      const share = n / sizes[g]!;
      const lift = Math.log((1 + n / sizes[g]!) / (1 + (all - n) / Math.max(1, texts.length - sizes[g]!)));
      return { word, score: (n > 1 || sizes[g]! < 4 ? 1 : 0.3) * share * lift * Math.log(1 + word.length) };
    });
    scored.sort((a, b) => b.score - a.score || (a.word < b.word ? -1 : 1));
    const chosen: string[] = [];
    for (const { word } of scored) {
      if (chosen.length === SHOWN) break;
      // Not the plural of a word that is there already.
      if (!chosen.some((other) => other.startsWith(word.slice(0, -1)) || word.startsWith(other.slice(0, -1)))) chosen.push(word);
    }
    return chosen;
  });
}
