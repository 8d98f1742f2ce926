/** An e-mail: who, when, about what, and its text. Attachments are only named. */

import { readHtml } from './html.js';

/** @throws Error with a sentence for the visitor */
export async function readMail(bytes: Uint8Array, name: string): Promise<string> {
  const { default: PostalMime } = await import('postal-mime');
  const mail = await PostalMime.parse(bytes).catch((cause: Error) => {
    throw new Error(`${name} could not be read as an e-mail (${cause.message.replace(/\.$/, '')}).`, { cause });
  });
  const people = (list: readonly { name?: string; address?: string }[] | undefined): string => (list ?? []).map(({ name, address }) => [name, address && (name ? `<${address}>` : address)].filter(Boolean).join(' ')).join(', ');
  const head = [
    ['From', people(mail.from ? [mail.from] : [])],
    ['To', people(mail.to)],
    ['Date', mail.date ?? ''],
    ['Attachments', mail.attachments.map(({ filename }) => filename).filter(Boolean).join(', ')],
  ];
  const body = mail.text?.trim() ? mail.text : readHtml(mail.html ?? '').text;
  return [mail.subject ?? '', head.filter(([, value]) => value !== '').map(([key, value]) => `${key}: ${value}`).join('\n'), body.replace(/\r\n?/g, '\n').trim()].filter((part) => part !== '').join('\n\n');
}
