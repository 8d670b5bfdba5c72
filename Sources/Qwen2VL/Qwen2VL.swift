// Qwen2VL
