/** How the element looks; a page changes it by these properties, or by ::part(input), ::part(result) and others. */
export const css = `
:host {
  --m2embed-text: #20252a;
  --m2embed-muted: #5a636b;
  --m2embed-paper: #ffffff;
  --m2embed-line: #8a949c;
  --m2embed-accent: #14615c;
  --m2embed-mark: #fdecb2;
  display: block;
  color: var(--m2embed-text);
  font: inherit;
  line-height: 1.45;
}
/* Light or dark as the page is, by its color-scheme. */
:host([theme='light']) { color-scheme: light; }
:host([theme='dark']) { color-scheme: dark; }
@supports (color: light-dark(white, black)) {
  :host {
    --m2embed-text: light-dark(#20252a, #e4e6e8);
    --m2embed-muted: light-dark(#5a636b, #a5adb4);
    --m2embed-paper: light-dark(#ffffff, #1c1f22);
    --m2embed-line: light-dark(#8a949c, #747d85);
    --m2embed-accent: light-dark(#14615c, #7fd4c9);
    --m2embed-mark: light-dark(#fdecb2, #5a4a12);
  }
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
input {
  width: 100%;
  min-height: 44px;
  padding: 0.5em 0.75em;
  border: 1px solid var(--m2embed-line);
  border-radius: 6px;
  background: var(--m2embed-paper);
  color: inherit;
  font: inherit;
}
input::placeholder { color: var(--m2embed-muted); opacity: 1; }
:focus-visible { outline: 2px solid var(--m2embed-accent); outline-offset: 2px; }
.panel { background: var(--m2embed-paper); border-radius: 6px; }
.status { margin: 0; padding: 0.4em 0.6em; min-height: 1.45em; color: var(--m2embed-muted); font-size: 0.875em; }
ol { margin: 0; padding: 0; list-style: none; }
li { padding: 0.5em 0.6em; border-top: 1px solid color-mix(in srgb, var(--m2embed-line) 35%, transparent); overflow-wrap: anywhere; }
li > a { display: block; text-decoration: none; color: inherit; border-radius: 4px; }
a b { color: var(--m2embed-accent); text-decoration: underline; text-underline-offset: 0.15em; }
a:hover b { text-decoration-thickness: 2px; }
.where { display: block; color: var(--m2embed-muted); font-size: 0.875em; }
p { margin: 0.2em 0 0; }
.also { display: flex; flex-wrap: wrap; gap: 0.2em 1em; font-size: 0.875em; }
.also a { color: var(--m2embed-accent); padding: 0.25em 0; min-height: 24px; }
mark { background: var(--m2embed-mark); color: inherit; border-radius: 2px; }
button {
  min-height: 36px;
  margin: 0.5em 0.6em;
  padding: 0.3em 0.9em;
  border: 1px solid var(--m2embed-line);
  border-radius: 6px;
  background: transparent;
  color: inherit;
  font: inherit;
  cursor: pointer;
}
.name { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
`;
