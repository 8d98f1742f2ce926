/** Parses a table away from the page: one of a million cells takes seconds. */

import { parseJson, parseJsonLines, parseSeparated, type Table } from './table.js';

export interface TableTask {
  kind: 'json' | 'lines' | 'separated';
  text: string;
  /** Of the file, for messages. */
  name: string;
  /** What separates cells, unless it has to be guessed. */
  separator?: string;
}

/** The table, none if the text holds none, or a sentence for the visitor. */
export type TableReply = { table: Table | undefined } | { error: string };

self.onmessage = ({ data: { kind, text, name, separator } }: MessageEvent<TableTask>) => {
  let reply: TableReply;
  try {
    reply = { table: kind === 'json' ? parseJson(text, name) : kind === 'lines' ? parseJsonLines(text, name) : parseSeparated(text, separator) };
  } catch (error) {
    reply = { error: (error as Error).message };
  }
  self.postMessage(reply);
};
