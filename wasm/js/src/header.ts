/**
 * The size of a safetensors file, told from its header, for downloads whose
 * length the server doesn't say; 0 while the header is not complete, undefined
 * for other files.
 */
export function safetensorsSize(start: Uint8Array): number | undefined {
  if (start.length < 9) return 0;
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const header = Number(view.getBigUint64(0, true));
  if (start[8] !== 0x7b || header > 1e8) return undefined; // "{"
  if (start.length < 8 + header) return 0;
  try {
    const entries = JSON.parse(new TextDecoder().decode(start.subarray(8, 8 + header))) as Record<string, { data_offsets?: [number, number] }>;
    return Object.values(entries).reduce((end, entry) => Math.max(end, 8 + header + (entry.data_offsets?.[1] ?? 0)), 8 + header);
  } catch {
    return undefined;
  }
}
