/** The model that the page comes with; see vite.config.mjs. */
declare const __MODEL__: { name: string; folder: string; bytes: number };

/** The larger model beside it. */
declare const __LARGER__: { name: string; folder: string; bytes: number };

/** The address of the library that the page comes with. */
declare const __LIBRARY__: string;

/** Other origins whose libraries a link may open. */
declare const __LIBRARIES__: string[];

/** kernel/cosines.ts, compiled: base64. */
declare const __COSINES__: string;

declare module '*?raw' {
  const text: string;
  export default text;
}

declare module '*?url' {
  const address: string;
  export default address;
}

declare module '*.css';
