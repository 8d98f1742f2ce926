// Embedding sum, before its layer norm:
//
//     y[c, t] = word[id[t], c] + token_type[c] + position[t mod L, c]
//
// Tables are row-major, (rows, D); y is channel-major, (D, columns), so a tile
// of 16 tokens × 16 channels is turned in workgroup memory. A table too large
// for one binding comes in several parts: a dispatch writes only the tokens
// whose word and position rows lie in the parts that are bound.

override HALF: bool = false;       // tables are 16-bit floats, two to a word
override POSITIONS: bool = true;   // the model has learned absolute positions

struct Shape {
  tokens: u32,           // B · L
  length: u32,           // L
  channels: u32,         // D
  y_row: u32,            // elements of y from channel to channel
  word_first: u32,       // first row of the word table's part
  word_count: u32,       // rows of the part
  position_first: u32,   // first row of the position table's part
  position_count: u32,   // rows of the part
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> word: array<u32>;
@group(0) @binding(3) var<storage, read> position: array<u32>;
@group(0) @binding(4) var<storage, read> token_type: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

const SIDE = 16u;
var<workgroup> tile: array<f32, SIDE * (SIDE + 1)>;
var<workgroup> present: array<u32, SIDE>;

fn half_of(pair: u32, i: u32) -> f32 {
  let halves = unpack2x16float(pair);
  return select(halves.x, halves.y, (i & 1u) == 1u);
}

fn word_at(i: u32) -> f32 {
  if (HALF) { return half_of(word[i >> 1u], i); }
  return bitcast<f32>(word[i]);
}

fn position_at(i: u32) -> f32 {
  if (HALF) { return half_of(position[i >> 1u], i); }
  return bitcast<f32>(position[i]);
}

@compute @workgroup_size(SIDE, SIDE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let token = group.x * SIDE + local.y;
  let channel = group.y * SIDE + local.x;
  var found = false;
  if (token < shape.tokens) {
    let row = ids[token] - shape.word_first;               // wraps below the part, so that it is too large
    let place = token % shape.length - shape.position_first;
    found = row < shape.word_count && (!POSITIONS || place < shape.position_count);
    if (found && channel < shape.channels) {
      var sum = word_at(row * shape.channels + channel) + token_type[channel];
      if (POSITIONS) {
        sum += position_at(place * shape.channels + channel);
      }
      tile[local.y * (SIDE + 1u) + local.x] = sum;
    }
  }
  if (local.x == 0u) {
    present[local.y] = select(0u, 1u, found);
  }
  workgroupBarrier();
  let turned_token = group.x * SIDE + local.x;
  let turned_channel = group.y * SIDE + local.y;
  if (present[local.x] == 1u && turned_channel < shape.channels) {
    y[turned_channel * shape.y_row + turned_token] = tile[local.x * (SIDE + 1u) + local.y];
  }
}
