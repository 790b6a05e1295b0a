"""The container behind the load balancer: an OpenAI-compatible server on openvino-genai.

python -m serving                       # settings come from the environment, see serving/settings.py
"""
