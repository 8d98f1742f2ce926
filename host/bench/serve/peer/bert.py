# Makes a BERT-base with random weights for infinity_emb: bert.py TOKENIZER FOLDER.
import sys

from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

special = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
BertModel(BertConfig()).save_pretrained(sys.argv[2])
PreTrainedTokenizerFast(tokenizer_file=sys.argv[1], model_max_length=512, **special).save_pretrained(sys.argv[2])
