"""Adapters to programs of others: one file a program, run by the program's own interpreter, not by ours.

Each is called as `python <program>.py FOLDER` and imports nothing of this package. It reads from FOLDER train.npz, truth.npz
and test.npz (scipy CSR: documents × TF-IDF, documents × labels, documents × TF-IDF) and options.json (k, seed, threads, and
the method's own `options`), and leaves prediction.npz there: label_Nk (−1: none), score_Nk, and parameters, weight_bytes,
train_seconds, predict_seconds. Of its output the last line is shown if it fails.
"""
