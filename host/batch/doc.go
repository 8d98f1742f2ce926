// Package batch embeds collections of documents that are larger than memory.
//
// An [Embedder] is an opened model with settled options, and a [Batch] collects
// documents until they are worth a forward pass. A [Job] turns files into a
// folder of vectors: it spreads the documents over shards by a hash of their ids,
// embeds shard by shard, and writes a manifest last, so that work that was killed
// goes on where it stopped and leaves the same bytes. Shards are independent of
// each other: [Job.Shard] may run in any process that sees the folder.
package batch
