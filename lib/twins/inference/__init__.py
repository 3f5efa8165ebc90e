"""Generation and transcription: the same weights and tokens in mlx-lm, mlx-whisper and transformers."""
